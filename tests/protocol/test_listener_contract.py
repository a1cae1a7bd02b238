"""What the listener relies on inside pynetdicom 3.0.4: one test per name, so that an update fails here and loudly."""

import inspect
import queue

import pynetdicom
import pytest
from pynetdicom import (
    AE,
    _config,
    acse,
    association,
    dimse,
    dul,
    fsm,
    pdu,
    pdu_primitives,
    sop_class,
    timer,
    transport,
)
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from node.listener import upper_layer


def source(thing) -> str:
    return inspect.getsource(thing)


def test_the_version_is_the_one_that_was_read() -> None:
    assert pynetdicom.__version__ == "3.0.4"


@pytest.mark.parametrize("name", ["LOG_HANDLER_LEVEL", "LOG_REQUEST_IDENTIFIERS", "LOG_RESPONSE_IDENTIFIERS"])
def test_config_has_the_switches_of_its_log(name: str) -> None:
    assert hasattr(_config, name)


def test_storage_classes_are_told_apart_from_others() -> None:
    assert "1.2.840.10008.5.1.4.1.1.2" in sop_class._STORAGE_CLASSES.values()
    assert "1.2.840.10008.5.1.4.38.1" in sop_class._NON_PATIENT_OBJECT_CLASSES.values()


def test_an_acceptor_chooses_the_first_of_its_own_transfer_syntaxes() -> None:
    ours, theirs = PresentationContext(), PresentationContext()
    for context, syntaxes in ((ours, ["1.2.3", "1.2.4"]), (theirs, ["1.2.4", "1.2.3"])):
        context.abstract_syntax, context.transfer_syntax, context.context_id = "1.2.9", syntaxes, 1
    results, _ = negotiate_as_acceptor([theirs], [ours])
    assert (results[0].transfer_syntax, results[0].result) == (["1.2.3"], 0)


def test_socket_names() -> None:
    for name in ("ready", "recv", "send", "close", "_shutdown_socket", "event_queue"):
        assert hasattr(transport.AssociationSocket, name)
    assert 'self.event_queue.put("Evt5")' in source(transport.AssociationSocket.__init__)
    assert "self._shutdown_socket()" in source(transport.AssociationSocket.close)
    assert "self.socket.send(" in source(transport.AssociationSocket.send)


def test_a_pdu_is_read_as_six_bytes_and_the_rest() -> None:
    read = source(dul.DULServiceProvider._read_pdu_data)
    assert "self.socket.recv(6)" in read
    assert "self.socket.recv(pdu_length)" in read
    assert "self._decode_pdu(bytestream)" in read
    assert "self.socket.ready" in source(dul.DULServiceProvider._is_transport_event)


def test_the_loop_of_the_upper_layer_sleeps_checks_its_end_and_restarts_the_idle_timer() -> None:
    loop = source(dul.DULServiceProvider.run_reactor)
    for expected in (
        "time.sleep(self._run_loop_delay)",
        "if self._kill_thread:",
        "self._idle_timer.restart()",
        "self.artim_timer.expired",
        "self.state_machine.do_action(event)",
    ):
        assert expected in loop
    assert "self._kill_thread = True" in source(dul.DULServiceProvider.kill_dul)
    assert '"Sta1"' in source(dul.DULServiceProvider.stop_dul)


def test_upper_layer_attributes() -> None:
    made = source(dul.DULServiceProvider.__init__)
    for name in (
        "_idle_timer",
        "artim_timer",
        "to_user_queue",
        "event_queue",
        "_run_loop_delay",
        "state_machine",
    ):
        assert f"self.{name}" in made
    assert "self.to_user_queue.get(block=wait, timeout=timeout)" in source(dul.DULServiceProvider.receive_pdu)


def test_timer_attributes() -> None:
    made = timer.Timer(3)
    assert made._start_time is None
    assert made._end_time is None
    assert "self.remaining < 0" in source(timer.Timer.expired.fget)
    assert "self.start()" in source(timer.Timer.restart)


def test_data_goes_from_the_state_machine_to_receive_primitive() -> None:
    assert "dul.assoc.dimse.receive_primitive(" in source(fsm.DT_2)


def test_state_six_is_entered_with_the_acceptance_and_evt19_aborts() -> None:
    assert fsm.TRANSITION_TABLE[("Evt7", "Sta3")] == "AE-7"
    assert source(fsm.AE_7).count('return "Sta6"') == 1
    assert fsm.TRANSITION_TABLE[("Evt19", "Sta6")] == "AA-8"
    assert fsm.TRANSITION_TABLE[("Evt17", "Sta2")] == "AA-5"


def test_dimse_provider_names() -> None:
    assert "primitive" in inspect.signature(dimse.DIMSEServiceProvider.receive_primitive).parameters
    assert "requestor.maximum_length" in source(dimse.DIMSEServiceProvider.maximum_pdu_size.fget)


def test_negotiation_is_one_method_and_rejection_another() -> None:
    assert "self._negotiate_as_acceptor()" in source(acse.ACSE.negotiate_association)
    assert list(inspect.signature(acse.ACSE.send_reject).parameters) == [
        "self",
        "result",
        "source",
        "diagnostic",
    ]
    body = source(acse.ACSE._negotiate_as_acceptor)
    assert "self.acceptor.supported_contexts" in body
    assert "self.assoc.ae.maximum_associations" in body
    assert "self.assoc._accepted_cx" in body
    for name in ("is_release_requested", "is_aborted", "send_release", "send_abort"):
        assert hasattr(acse.ACSE, name)


def test_a_user_identity_is_read_before_and_answered_within_the_negotiation() -> None:
    made = association.Association(AE(), MODE_ACCEPTOR)
    assert made.requestor.user_identity is None
    item = pdu_primitives.UserIdentityNegotiation()
    item.server_response = b""
    made.acceptor.add_negotiation_item(item)
    assert made.acceptor.user_identity is item
    assert item.from_primitive().encode() == b"\x59\x00\x00\x02\x00\x00"  # PS3.7 table D.3-15
    assert "except NotImplementedError" in source(acse.ACSE._check_user_identity)  # no handler: accepted


def test_timeouts_of_the_entity_are_read_when_an_association_is_made() -> None:
    entity = AE()
    entity.acse_timeout, entity.network_timeout = 3, 4
    made = association.Association(entity, MODE_ACCEPTOR)
    entity.acse_timeout, entity.network_timeout = 5, 6
    assert (made.acse_timeout, made.network_timeout) == (3, 4)


def test_association_names() -> None:
    made = association.Association(AE(), MODE_ACCEPTOR)
    for name in (
        "_server",
        "_kill",
        "_is_paused",
        "_reactor_checkpoint",
        "_accepted_cx",
        "acse",
        "dul",
        "dimse",
    ):
        assert hasattr(made, name)
    for name in ("is_aborted", "is_released", "is_rejected", "is_established"):
        assert getattr(made, name) is False
    assert isinstance(made.dul.to_user_queue, queue.Queue)


def test_an_acceptor_waits_for_a_request_negotiates_and_runs() -> None:
    body = source(association.Association.run_reactor)
    for expected in (
        "self.dul.receive_pdu(wait=True, timeout=self.acse_timeout)",
        "if primitive is None:",
        "self.acse.negotiate_association()",
        "self._run_reactor()",
        "self._server.shutdown_request(sock.socket)",
    ):
        assert expected in body
    assert "while self.dul.is_alive() and not self.dul.stop_dul()" in source(association.Association.kill)


def test_a_server_hands_connections_to_threads() -> None:
    for name in ("get_request", "server_bind", "service_actions", "finish_request", "handle_error"):
        assert hasattr(transport.ThreadedAssociationServer, name)
    assert "self.finish_request(request, client_address)" in source(
        transport.ThreadedAssociationServer.process_request_thread
    )
    made = source(transport.RequestHandler._create_association)
    for expected in (
        "assoc._server = self.server",
        "assoc.set_socket(sock)",
        "assoc.acceptor.maximum_length",
        "assoc.acceptor.ae_title",
        "assoc.acceptor.address_info",
        "assoc.acceptor.implementation_class_uid",
        "assoc.acceptor.implementation_version_name",
        "assoc.requestor.address_info",
    ):
        assert expected in made


def test_the_loop_looks_at_what_is_to_be_sent_before_it_receives() -> None:
    loop = source(dul.DULServiceProvider.run_reactor)
    assert loop.index("if self._process_recv_primitive():") < loop.index("elif self._is_transport_event():")
    assert "self.to_provider_queue.queue[0]" in source(dul.DULServiceProvider._process_recv_primitive)
    assert "self.to_provider_queue.put(" in source(dul.DULServiceProvider.send_pdu)


def test_a_pdu_that_was_read_elsewhere_can_be_handed_to_the_state_machine() -> None:
    read = source(dul.DULServiceProvider._read_pdu_data)
    for expected in (
        "pdu, event = self._decode_pdu(bytestream)",
        "self.event_queue.put(event)",
        "self._recv_pdu.put(pdu)",
    ):
        assert expected in read
    assert "dul._recv_pdu.get(False)" in source(fsm.DT_2)
    assert fsm.TRANSITION_TABLE[("Evt10", "Sta6")] == "DT-2"


def test_a_p_data_primitive_can_be_encoded_without_the_state_machine() -> None:
    primitive = pdu_primitives.P_DATA()
    primitive.presentation_data_value_list.append((1, b"\x03command"))
    encoded = pdu.P_DATA_TF()
    encoded.from_primitive(primitive)
    assert encoded.encode() == b"\x04\x00" + (13).to_bytes(4, "big") + b"\0\0\0\x09\x01\x03command"


def test_an_established_association_is_in_state_six_until_it_ends() -> None:
    assert upper_layer.ESTABLISHED == "Sta6"
    assert pynetdicom.__version__ == upper_layer.KNOWN_PYNETDICOM
    assert upper_layer.provider() is upper_layer.StreamingProvider
