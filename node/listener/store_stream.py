"""From fragments to stored objects and their answers, in the thread that reads the socket.

What is no C-STORE is handed on: as a P-DATA-TF PDU that pynetdicom's state machine takes
as if it had read it.
"""

from __future__ import annotations

from collections.abc import Callable

from node import command_set as cs
from node.listener.messages import COMMAND_LIMIT_BYTES, Messages, Request
from node.listener.pdata import IS_COMMAND, IS_LAST, ProtocolError, p_data_tf

Answer = Callable[[int, Request], None]
Done = Callable[[Request], None]


class StoreStream:
    """The C-STOREs of one association; a sink of `pdata.Walker`. Used by one thread.

    `answer` finishes a request and sends its response; `done` is called when all is done that
    could wait for it. After a pause of the walk, `handed_on` is the PDU that is for pynetdicom.
    """

    def __init__(self, messages: Messages, answer: Answer, done: Done) -> None:
        self.handed_on: bytes | None = None
        self._messages = messages
        self._answer = answer
        self._done = done
        self._command = bytearray()
        self._context_id = 0
        self._request: Request | None = None
        self._views: list[memoryview] = []
        self._undigested: list[memoryview] = []

    @property
    def is_inside(self) -> bool:
        """Whether the rest of a message is due."""
        return self._request is not None or bool(self._command)

    @property
    def size(self) -> int:
        """Bytes that have come of the object that is being received."""
        request = self._request
        return request.reception.size if request is not None and request.reception is not None else 0

    def take(self, context_id: int, control: int, data: memoryview, *, is_end: bool) -> bool:
        """Take a part of a fragment; return False when something is handed on.

        Raises:
            ProtocolError: the fragment has no place here.
        """
        if self.is_inside and context_id != self._context_id:
            raise ProtocolError("fragments of two presentation contexts are mixed")
        is_last = is_end and bool(control & IS_LAST)
        if control & IS_COMMAND:
            return self._take_command(context_id, data, is_last=is_last)
        if self._request is None:
            if self._command:
                raise ProtocolError("a data set before its command was complete")
            return self._hand_on(context_id, control if is_end else control & ~IS_LAST, bytes(data))
        self._views.append(data)
        if is_last:
            self._finish()
        return True

    def flush(self) -> None:
        """Write what has come of an object."""
        request, views = self._request, self._views
        if request is not None and request.reception is not None and views:
            request.reception.append(views)
            self._undigested += views
        views.clear()

    def digest(self) -> None:
        """Take what was written into the digest; the memory that it came in may be used anew then."""
        request, views = self._request, self._undigested
        if request is not None and request.reception is not None and views:
            request.reception.digest(views)
        views.clear()

    @property
    def holds_memory(self) -> bool:
        """Whether bytes that were taken have to stay where they are until `digest`."""
        return bool(self._undigested)

    def discard(self) -> None:
        """Drop what is not complete."""
        request, self._request = self._request, None
        self._views.clear()
        self._undigested.clear()
        if request is not None and request.reception is not None:
            request.reception.discard()

    def _take_command(self, context_id: int, data: memoryview, *, is_last: bool) -> bool:
        if self._request is not None:
            raise ProtocolError("a command before the data set of the last one was complete")
        self._context_id = context_id
        self._command += data
        if len(self._command) > COMMAND_LIMIT_BYTES:
            raise ProtocolError(f"a command set of over {COMMAND_LIMIT_BYTES} bytes")
        if not is_last:
            return True
        encoded = bytes(self._command)
        self._command.clear()
        try:
            command = cs.decode(encoded)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        message_id = cs.number(command, cs.MESSAGE_ID)
        if cs.number(command, cs.COMMAND_FIELD) != cs.C_STORE_RQ or message_id is None:
            return self._hand_on(context_id, IS_COMMAND | IS_LAST, encoded)
        if self._messages.is_receiving:
            raise ProtocolError("a command before the data set of the last one was complete")
        context = self._messages.context(context_id)
        if context[0] == cs.VERIFICATION:
            return self._hand_on(context_id, IS_COMMAND | IS_LAST, encoded)
        self._request = self._messages.begin_store(message_id, command, context)
        if cs.number(command, cs.DATA_SET_TYPE) in (cs.NO_DATA_SET, None):
            self._finish()
        return True

    def _hand_on(self, context_id: int, control: int, fragment: bytes) -> bool:
        self.handed_on = p_data_tf(context_id, control, fragment)
        return False

    def _finish(self) -> None:
        """Answer first: digest and registrar can wait, while the sender prepares its next object."""
        self.flush()
        request = self._request
        if request is None or request.reception is None:
            return
        try:
            self._answer(self._context_id, request)
        finally:
            self.digest()
            self._request = None
            request.reception.settle()
        self._done(request)
