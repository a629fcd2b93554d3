"""A call on its way to an answer, and how one is made of its messages."""

from __future__ import annotations

import logging

import grpc

from friesian_services.http2.fields import Fields
from friesian_services.rpc.context import CallContext
from friesian_services.rpc.handlers import Found
from friesian_services.rpc.messages import (
    MESSAGE_BYTES,
    CallError,
    Message,
    MessageReader,
    framed,
    refusal,
    trailers,
)

FAILED = "an unexpected failure; the server's log has it"
# A message of those who watch or converse: the name of a service or of a type.
_SHORT_BYTES = 4096
# What a message takes besides its content: many may have none.
_MESSAGE_BYTES = 128

_log = logging.getLogger(__name__)


class Call:
    """A stream on its way to an answer.

    Parameters
    ----------
    found : Found
    fields : Fields
        Its headers.
    begun : float
        When what has to be complete in time began.

    Raises
    ------
    CallError
        If its timeout is none.
    """

    __slots__ = (
        "begun",
        "context",
        "found",
        "has_ended",
        "has_headers",
        "is_answering",
        "message_bytes",
        "messages",
        "reader",
        "size",
    )

    def __init__(self, found: Found, fields: Fields, begun: float) -> None:
        self.found, self.begun = found, begun
        self.context = CallContext(fields)
        self.reader = MessageReader(fields, _SHORT_BYTES if found.handler.response_streaming else None)
        self.messages: list[Message] = []  # that are not yet answered
        self.message_bytes = 0
        self.size = 0  # of all that is kept of it, as far as it is counted
        self.has_headers = False
        # Of a conversation: whether the caller asks no more, and whether a thread has one of its messages.
        self.has_ended = self.is_answering = False

    def add(self, data: bytes) -> bool:
        """Take a piece of its content; whether a message is whole with it.

        Raises
        ------
        CallError
            If a message is too long.
        """
        messages = self.reader.add(data)
        for message in messages:
            self.messages.append(message)
            self.message_bytes += _MESSAGE_BYTES + len(message.content)
        return bool(messages)

    def drop_first(self) -> None:
        """Forget the first message: it is answered."""
        self.message_bytes -= _MESSAGE_BYTES + len(self.messages.pop(0).content)


def answer_of(call: Call, message: Message) -> tuple[bytes | None, bytes]:
    """The framed answer to a unary call, None where it failed, and the block that ends it."""
    handler, context = call.found.handler, call.context
    try:
        answer = framed(handler.response_serializer(handler.unary_unary(call.reader.plain(message), context)))
        if len(answer) > MESSAGE_BYTES:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the answer is over {MESSAGE_BYTES} bytes; ask for less")
        last = trailers(grpc.StatusCode.OK, "", context.trailing_metadata())
    except CallError as error:
        return None, refusal(error.code(), error.details(), context.trailing_metadata())
    except Exception:  # of what the interceptor does not see: writing the answer
        _log.exception("an answer could not be written")
        return None, refusal(grpc.StatusCode.INTERNAL, FAILED)
    code = context.code()
    if code is None or code is grpc.StatusCode.OK:
        return answer, last
    return None, refusal(code, context.details(), context.trailing_metadata())


def replies_to(call: Call, message: Message) -> bytes | CallError:
    """The framed replies to one message of a conversation, or why it ends.

    Each is answered for itself, so nobody waits between them: right for servicers that remember nothing, as reflection.
    """
    handler = call.found.handler
    try:
        asked = handler.request_deserializer(call.reader.plain(message))
        replies = handler.stream_stream(iter((asked,)), call.context)
        return b"".join(framed(handler.response_serializer(reply)) for reply in replies)
    except CallError as error:
        return error
    except Exception:
        _log.exception("a stream failed")
        return CallError(grpc.StatusCode.INTERNAL, FAILED)
