"""`prepnode send` and `prepnode echo` as a person calls them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import data
from listeners import dataset, listening
from node.cli.main import cli
from node.cli.send import send
from node.part10 import read_file_meta
from nodes import free_port, run_cli


def call(*arguments: object):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_a_folder_is_sent_and_counted(tmp_path: Path) -> None:
    paths = data.write(data.ct_series(slices=5), tmp_path / "study" / "ct")
    paths += data.write(data.mr_series(slices=3), tmp_path / "study" / "mr")
    (tmp_path / "study" / "notes.txt").write_text("not DICOM")
    with listening(tmp_path / "node") as node:
        done = call(
            "send",
            tmp_path / "study",
            "--to",
            f"127.0.0.1:{node.port}",
            "--called",
            "PREPNODE",
            "--calling",
            "ME",
        )
        assert done.exit_code == 0, done.output
        assert "8 of 8 objects taken" in done.output
        assert "0x0000: 8" in done.output
        assert "skipped, not a DICOM object that can be sent: 1" in done.output
        assert {arrival.calling_ae_title for arrival in node.arrivals} == {"ME"}
        assert len(node.registrar.opened) == 1
        sent = {path.read_bytes()[read_file_meta(path.read_bytes()).dataset_offset :] for path in paths}
        kept = {
            each.path.read_bytes()[read_file_meta(each.path.read_bytes()).dataset_offset :]
            for each in node.arrivals
        }
        assert kept == sent


def test_a_refused_object_is_named_and_the_exit_code_is_one(tmp_path: Path) -> None:
    good, bad = data.write(data.ct_series(slices=2), tmp_path / "ct")
    content = bad.read_bytes()
    bad.write_bytes(content.replace(b"StudyInstance", b"x")[: read_file_meta(content).dataset_offset + 400])
    with listening(tmp_path / "node") as node:
        done = call("send", good, bad, "--to", f"127.0.0.1:{node.port}", "--called", "PREPNODE")
    assert done.exit_code == 1
    assert "1 of 2 objects taken" in done.output
    assert f"{bad}: 0xC000" in done.output


def test_more_contexts_than_fit_one_association_take_several(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(130):
        (folder / f"{number}.dcm").write_bytes(dataset(f"1.2.3.{number}", sop_class=f"1.2.826.0.1.{number}"))
    with listening(tmp_path / "node") as node:
        done = call("send", folder, "--to", f"127.0.0.1:{node.port}", "--called", "PREPNODE")
        assert done.exit_code == 0, done.output
        assert "130 of 130 objects taken" in done.output
        assert len(node.registrar.opened) == 2


def test_a_context_the_peer_does_not_take_is_told(tmp_path: Path) -> None:
    hanging_protocol = tmp_path / "hanging.dcm"
    hanging_protocol.write_bytes(dataset(sop_class="1.2.840.10008.5.1.4.38.1"))
    with listening(tmp_path / "node") as node:
        done = call("send", hanging_protocol, "--to", f"127.0.0.1:{node.port}", "--called", "PREPNODE")
    assert done.exit_code == 1
    assert "SOP class not supported" in done.output


def test_nobody_there_is_told_for_every_file(tmp_path: Path) -> None:
    data.write(data.ct_series(slices=3), tmp_path / "ct")
    done = call("send", tmp_path / "ct", "--to", f"127.0.0.1:{free_port()}", "--called", "X")
    assert done.exit_code == 1
    assert "0 of 3 objects taken" in done.output
    assert "no connection to 127.0.0.1" in done.output


def test_a_folder_without_dicom_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    assert call("send", tmp_path, "--to", "127.0.0.1:104", "--called", "X").exit_code == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", ":104", "127.0.0.1:70000", "127.0.0.1:x"])
def test_a_wrong_address_is_wrong_usage(tmp_path: Path, address: str) -> None:
    done = call("send", tmp_path, "--to", address, "--called", "X")
    assert done.exit_code == 2
    assert "HOST:PORT" in done.output


def test_a_wrong_title_is_wrong_usage(tmp_path: Path) -> None:
    assert call("send", tmp_path, "--to", "127.0.0.1:104", "--called", "X" * 17).exit_code == 2


def test_called_from_a_program_it_returns_its_exit_code(tmp_path: Path) -> None:
    data.write(data.ct_series(slices=1), tmp_path / "ct")
    with listening(tmp_path / "node") as node:
        arguments = [str(tmp_path / "ct"), "--to", f"127.0.0.1:{node.port}", "--called", "PREPNODE"]
        assert send.main(arguments, standalone_mode=False) == 0
    assert send.main(arguments, standalone_mode=False) == 1


def test_echo_by_address_and_by_name(tmp_path: Path) -> None:
    with listening(tmp_path / "node") as node:
        done = call("echo", f"127.0.0.1:{node.port}/PREPNODE")
        assert done.exit_code == 0
        assert "answered 0x0000" in done.output
        config = tmp_path / "node.toml"
        config.write_text(
            f'[[destination]]\nname = "pacs"\nkind = "dicom"\nhost = "127.0.0.1"\nport = {node.port}\ncalled_aet = "PREPNODE"\n'
        )
        assert call("echo", "pacs", "-c", config).exit_code == 0


def test_echo_says_why_not(tmp_path: Path) -> None:
    with listening(tmp_path, listener={"require_called_aet": True}) as node:
        done = call("echo", f"127.0.0.1:{node.port}/WRONG")
    assert done.exit_code == 1
    assert "the called AE title is not its own" in done.output
    assert call("echo", f"127.0.0.1:{free_port()}/X").exit_code == 1


def test_an_unknown_destination_is_wrong_usage() -> None:
    done = run_cli("echo", "nowhere", expect=2)
    assert "no destination of kind 'dicom'" in done.stderr
