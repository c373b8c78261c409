"""One HTTP/2 connection over asyncio with python3-h2, for the test backend and the test client.

Subclasses react to whole events; sending respects both flow-control windows and the socket.
"""
import asyncio

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

STREAM_WINDOW = 4 << 20
CONNECTION_WINDOW = 32 << 20
STREAMS = 1000

# python3-h2 takes a GOAWAY for the end of the connection. RFC 9113 6.8: streams up to the last
# stream identifier go on to their end, which is what a graceful shutdown is about.
for _state in (h2.connection.ConnectionState.CLIENT_OPEN, h2.connection.ConnectionState.SERVER_OPEN):
    h2.connection.H2ConnectionStateMachine._transitions[
        (_state, h2.connection.ConnectionInputs.RECV_GOAWAY)] = (None, _state)


class StreamGone(Exception):
    """The stream or its connection ended while something was still to be sent."""


class Endpoint(asyncio.Protocol):
    """Settings, windows and dispatch. `h2` is the protocol state, `transport` the socket."""

    client_side = True

    def __init__(self, stream_window=STREAM_WINDOW):
        self.transport = None
        self.closed = False
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.waiting = {}                     # stream -> future, for a window that opens
        self.gone = set()                     # streams that the peer has reset
        self.stream_window = stream_window
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=self.client_side, header_encoding="utf-8"))
        self.h2.clear_outbound_data_buffer = lambda: None     # it would drop credit at a GOAWAY
        codes = h2.settings.SettingCodes
        self.h2.local_settings = h2.settings.Settings(client=self.client_side, initial_values={
            codes.INITIAL_WINDOW_SIZE: stream_window,
            codes.MAX_CONCURRENT_STREAMS: STREAMS,
            codes.MAX_HEADER_LIST_SIZE: 65536,
            codes.ENABLE_PUSH: 0, **self.further_settings()})
        self.handlers = {
            h2.events.RequestReceived: self.request_received,
            h2.events.ResponseReceived: self.response_received,
            h2.events.InformationalResponseReceived: self.informational_received,
            h2.events.DataReceived: self.piece_received,
            h2.events.TrailersReceived: self.trailers_received,
            h2.events.StreamEnded: self.stream_ended,
            h2.events.StreamReset: self._reset,
            h2.events.WindowUpdated: self._window_updated,
            h2.events.RemoteSettingsChanged: self.settings_received,
            h2.events.ConnectionTerminated: self.goaway_received,
            h2.events.PingAckReceived: self.ping_answered,
        }

    def further_settings(self):
        return {}

    # What subclasses override; every one takes the event of python3-h2.
    def request_received(self, event): pass
    def response_received(self, event): pass
    def informational_received(self, event): pass
    def trailers_received(self, event): pass
    def stream_ended(self, event): pass
    def stream_reset(self, event): pass
    def goaway_received(self, event): pass
    def ping_answered(self, event): pass
    def disconnected(self, error): pass

    def settings_received(self, event):
        self._wake_all()

    def piece_received(self, event):
        self.acknowledge(event.stream_id, event.flow_controlled_length)

    # asyncio's side
    def connection_made(self, transport):
        self.transport = transport
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(CONNECTION_WINDOW)
        self.flush()

    def data_received(self, data):
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.flush()
            self.protocol_error(error)
            self.transport.close()
            return
        for event in events:
            handler = self.handlers.get(type(event))
            if handler:
                handler(event)
        self.flush()

    def protocol_error(self, error):
        """The peer broke a rule of RFC 9113; the connection closes."""

    def connection_lost(self, exc):
        self.closed = True
        self.may_write.set()
        self._wake_all()
        self.disconnected(exc)

    def pause_writing(self):
        self.may_write.clear()

    def resume_writing(self):
        self.may_write.set()

    # sending
    def flush(self):
        data = self.h2.data_to_send()
        if data and not self.closed:
            self.transport.write(data)

    def acknowledge(self, stream_id, length):
        """Gives the peer its credit back on the stream and the connection."""
        if length and not self.closed:
            self.h2.acknowledge_received_data(length, stream_id)

    async def send_piece(self, stream_id, data, end=False):
        """Sends all of `data` as the windows open. StreamGone when it cannot be completed."""
        view = memoryview(data)
        while len(view) or end:
            await self.may_write.wait()
            room = self._room(stream_id)
            if room == 0 and len(view):
                self.flush()
                await self._window(stream_id)
                continue
            size = min(room, len(view))
            last = end and size == len(view)
            try:
                self.h2.send_data(stream_id, bytes(view[:size]), end_stream=last)
            except (h2.exceptions.ProtocolError, KeyError) as error:
                raise StreamGone(str(error)) from None
            self.flush()
            view = view[size:]
            if last:
                return

    def _room(self, stream_id):
        if self.closed:
            raise StreamGone("connection closed")
        if stream_id in self.gone:            # python3-h2 may still tell of its window
            raise StreamGone("reset by the peer")
        try:
            return max(0, min(self.h2.local_flow_control_window(stream_id),
                              self.h2.max_outbound_frame_size))
        except (h2.exceptions.ProtocolError, KeyError) as error:
            raise StreamGone(str(error)) from None

    async def _window(self, stream_id):
        future = asyncio.get_running_loop().create_future()
        self.waiting[stream_id] = future
        try:
            await future
        finally:
            self.waiting.pop(stream_id, None)

    def _wake(self, stream_id):
        future = self.waiting.get(stream_id)
        if future and not future.done():
            future.set_result(None)

    def _wake_all(self):
        for stream_id in list(self.waiting):
            self._wake(stream_id)

    def _window_updated(self, event):
        if event.stream_id:
            self._wake(event.stream_id)
        else:
            self._wake_all()

    def _reset(self, event):
        self.gone.add(event.stream_id)
        self._wake(event.stream_id)
        self.stream_reset(event)

    def reset(self, stream_id, code=h2.errors.ErrorCodes.CANCEL):
        try:
            self.h2.reset_stream(stream_id, error_code=code)
        except h2.exceptions.ProtocolError:
            return
        self.flush()

    def goaway(self, last_stream_id, code=0):
        """Written by hand: python3-h2 would refuse to finish the streams that are still open."""
        frame = hyperframe.frame.GoAwayFrame(0, last_stream_id=last_stream_id, error_code=code)
        self.flush()
        self.transport.write(frame.serialize())
