"""A browser's tab without the browser: Streamlit's own protocol over its websocket, light enough for thirty of them.

It does what the browser does as far as the server can tell: it keeps what the page shows, asks again for fragments that
refresh themselves, remembers large messages so that they are not sent twice, and finds widgets by their keys and words.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ERROR = 1  # `Alert.Format`
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LARGEST = 200 * 2**20  # bytes of one message


class Trouble(Exception):
    """What was waited for did not come. The words say what, and what the page showed instead."""


@dataclass
class Shown:
    """An element on the page: of which run, of which fragment ("" for none)."""

    element: Any
    run: str
    fragment: str


@dataclass
class Tab:
    """Use `await Tab.open(url)`; every coroutine raises `Trouble` where the page does not do what is asked."""

    url: str
    socket: ClientConnection
    query: str = ""
    page: str = ""  # the running page's hash
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    shown: dict[tuple[int, ...], Shown] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)  # the page's name in its address -> its hash
    runs_begun: int = 0  # of the whole page
    runs_ended: int = 0  # the number of the last one that came to its end
    fragments_run: int = 0
    bytes_received: int = 0
    _run: str = ""
    _kept: dict[str, tuple[ForwardMsg, int]] = field(default_factory=dict)
    _timers: dict[str, asyncio.Task] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _urls: dict[str, FileURLs] = field(default_factory=dict)
    _reader: asyncio.Task | None = None

    @classmethod
    async def open(cls, url: str, page: str = "", query: str = "") -> Tab:
        """The tab at `url`/`page`?`query`, its first run asked for."""
        address = urlsplit(url)
        socket = await connect(
            f"ws://{address.netloc}/_stcore/stream",
            origin=url,
            subprotocols=["streamlit"],
            max_size=LARGEST,
            compression=None,
            proxy=None,
            open_timeout=60,
        )
        tab = cls(url, socket, query)
        tab._reader = asyncio.create_task(tab._read())
        await tab._send_rerun(page_name=page)
        return tab

    async def close(self) -> None:
        self._end_timers()
        await self.socket.close()
        if self._reader is not None:
            await self._reader

    # --- What is on the page -----------------------------------------------------------------------------------------

    def all(self, kind: str) -> Iterator[Any]:
        """The elements of a kind ("selectbox", "plotly_chart"), in the order of the page."""
        for _, shown in sorted(self.shown.items()):
            if shown.element.WhichOneof("type") == kind:
                yield getattr(shown.element, kind)

    def find(self, kind: str, *, key: str = "", words: str = "") -> Any | None:
        """The first element of a kind with this key, or with these words in its label; `None` where there is none."""
        for element in self.all(kind):
            if (not key or element.id.endswith(f"-{key}")) and (not words or words in element.label):
                return element
        return None

    def figure(self, words: str) -> Any | None:
        """The figure whose description has `words` in it, with something drawn in it."""
        return next((each for each in self.all("plotly_chart") if words in each.alt and len(each.spec) > 500), None)

    def says(self, words: str) -> bool:
        texts = [each.body for kind in ("alert", "markdown") for each in self.all(kind)]
        return any(words in text for text in [*texts, *(each.text for each in self.all("progress"))])

    def words(self) -> str:
        """What the page says where something has gone wrong or is not done yet."""
        return " | ".join([*(each.body for each in self.all("alert")), *(each.text for each in self.all("progress"))])

    # --- What a person does ------------------------------------------------------------------------------------------

    async def choose(self, key: str, value: str) -> None:
        """One option of a select box, of buttons in a row, or of a slider over options, by its words."""
        for kind in ("selectbox", "button_group", "slider"):
            widget = self.find(kind, key=key)
            if widget is not None:
                state = WidgetState(id=widget.id)
                if kind == "selectbox":
                    state.string_value = value
                else:
                    state.string_array_value.data.append(value)
                await self._send_rerun(state)
                return
        raise Trouble(f"There is no {key!r} on the page. It says: {self.words()}")

    async def press(self, *, key: str = "", words: str = "") -> None:
        button = await self.wait_for_button(key=key, words=words)
        await self._send_rerun(WidgetState(id=button.id, trigger_value=True))

    async def wait_for_button(self, *, key: str = "", words: str = "", seconds: float = 60) -> Any:
        """The button, once it can be pressed."""
        what = f"the button {key or words!r}"

        def there() -> Any:
            button = self.find("button", key=key, words=words)
            return button if button is not None and not button.disabled else None

        await self.until(lambda: there() is not None, what, seconds)
        return there()

    async def click(self, figure: Any, *customdata: int) -> None:
        """A click on a point of a figure."""
        points = [{"curve_number": 1, "point_index": 0, "customdata": list(customdata)}]
        chosen = {"selection": {"points": points, "point_indices": [0], "box": [], "lasso": []}}
        await self._send_rerun(WidgetState(id=figure.id, string_value=json.dumps(chosen)))

    async def upload(self, key: str, name: str, data: bytes, kind: str) -> None:
        widget = self.find("file_uploader", key=key)
        if widget is None:
            raise Trouble(f"There is no {key!r} on the page. It says: {self.words()}")
        asked = uuid.uuid4().hex
        message = BackMsg()
        message.file_urls_request.request_id = asked
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self.session
        await self._send(message)
        await self.until(lambda: asked in self._urls, "the address for an upload", 60)
        urls = self._urls.pop(asked)
        await asyncio.to_thread(self._put, urls.upload_url, name, data, kind)
        state = WidgetState(id=widget.id)
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.file_id, info.name, info.size = urls.file_id, name, len(data)
        info.file_urls.CopyFrom(urls)
        await self._send_rerun(state)

    async def go(self, page: str) -> None:
        """Another page, by its name in the address ("" is the first)."""
        self._end_timers()
        self.query, self.page = "", self.pages[page]
        await self._send_rerun()

    async def rerun(self) -> None:
        """The same page again, as a click that changes nothing."""
        await self._send_rerun()

    async def settled(self, seconds: float = 120) -> None:
        """Until the run that was asked for last has come to its end."""
        await self.until(lambda: self.runs_ended == self.runs_begun >= self._asked, "the end of the run", seconds)

    async def until(self, seen: Callable[[], bool], what: str, seconds: float) -> None:
        """Until `seen()`; looks again whenever something has come."""
        deadline = time.monotonic() + seconds
        while not seen():
            self._news.clear()
            if self._reader.done():
                raise Trouble(f"The connection was lost while waiting for {what}.")
            try:
                await asyncio.wait_for(self._news.wait(), deadline - time.monotonic())
            except asyncio.TimeoutError:
                raise Trouble(f"Waited {seconds:.0f} s for {what}. The page says: {self.words()}") from None

    # --- What the browser does ---------------------------------------------------------------------------------------

    _asked = 0  # at least so many runs of the page will have begun

    async def _send_rerun(self, *states: WidgetState, page_name: str = "", fragment: str = "", timer: bool = False):
        message = BackMsg()
        run = message.rerun_script
        run.query_string, run.page_script_hash, run.page_name = self.query, self.page, page_name
        run.widget_states.widgets.extend(states)
        run.is_auto_rerun = timer
        run.fragment_id = fragment or self._fragment_of(states)
        run.cached_message_hashes.extend(self._kept)
        run.context_info.timezone, run.context_info.url = "Europe/London", self.url
        if not run.fragment_id:
            self._asked = self.runs_begun + 1
        await self._send(message)

    def _fragment_of(self, states: tuple[WidgetState, ...]) -> str:
        """That of the widget: within one, only the fragment runs again."""
        ids = {state.id for state in states}
        for shown in self.shown.values():
            kind = shown.element.WhichOneof("type")
            if kind and getattr(getattr(shown.element, kind), "id", None) in ids:
                return shown.fragment
        return ""

    async def _send(self, message: BackMsg) -> None:
        try:
            await self.socket.send(message.SerializeToString())
        except ConnectionClosed:
            raise Trouble("The connection was lost.") from None

    async def _read(self) -> None:
        try:
            async for data in self.socket:
                self.bytes_received += len(data)
                self._take(ForwardMsg.FromString(data))
                self._news.set()
        except ConnectionClosed as error:
            self.complaints.append(f"The connection was lost: {error}")
        finally:
            self._news.set()

    def _take(self, message: ForwardMsg) -> None:
        if message.metadata.cacheable:
            self._kept[message.hash] = (message, self.runs_ended)
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            kept, _ = self._kept[message.ref_hash]
            self._kept[message.ref_hash] = (kept, self.runs_ended)
            content, kind = kept, kept.WhichOneof("type")
        else:
            content = message
        take = getattr(self, f"_take_{kind}", None)
        if take is not None:
            take(getattr(content, kind), message.metadata)

    def _take_new_session(self, new: Any, metadata: Any) -> None:
        self.session = new.initialize.session_id or self.session
        self._run = metadata.run.script_run_id
        if metadata.run.fragment_ids:
            self.fragments_run += 1
            return
        self.runs_begun += 1
        self._end_timers()
        if new.page_script_hash != self.page:
            self.shown.clear()
        self.page = new.page_script_hash

    def _take_delta(self, delta: Any, metadata: Any) -> None:
        place, kind = tuple(metadata.delta_path), delta.WhichOneof("type")
        if kind == "add_block":
            self.shown.pop(place, None)
        elif kind == "new_element":
            for inside in [each for each in self.shown if each[: len(place)] == place]:
                del self.shown[inside]
            self.shown[place] = Shown(delta.new_element, self._run, delta.fragment_id)
            self._complain(delta.new_element)

    def _complain(self, element: Any) -> None:
        if element.WhichOneof("type") == "exception":
            self.complaints.append(f"{element.exception.type}: {element.exception.message}")
        elif element.WhichOneof("type") == "alert" and element.alert.format == ERROR:
            self.complaints.append(element.alert.body)

    def _take_script_finished(self, how: int, metadata: Any) -> None:
        run, fragments = metadata.run.script_run_id, set(metadata.run.fragment_ids)
        if how == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self.complaints.append("The page could not be compiled.")
        if how == ForwardMsg.FINISHED_SUCCESSFULLY and not fragments:
            self.shown = {place: each for place, each in self.shown.items() if each.run == run}
            if run == self._run:
                self.runs_ended = self.runs_begun
                self._kept = {hash: kept for hash, kept in self._kept.items() if self.runs_ended - kept[1] <= 2}
        elif how == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            self.shown = {
                place: each for place, each in self.shown.items() if each.fragment not in fragments or each.run == run
            }

    def _take_navigation(self, navigation: Any, _: Any) -> None:
        self.pages = {page.url_pathname: page.page_script_hash for page in navigation.app_pages}
        if navigation.page_script_hash:
            self.page = navigation.page_script_hash

    def _take_page_info_changed(self, page: Any, _: Any) -> None:
        self.query = page.query_string

    def _take_page_not_found(self, page: Any, _: Any) -> None:
        self.complaints.append(f"The page {page.page_name!r} was not found.")

    def _take_file_urls_response(self, response: Any, _: Any) -> None:
        self._urls[response.response_id] = response.file_urls[0]

    def _take_auto_rerun(self, wanted: Any, _: Any) -> None:
        self._end_timer(wanted.fragment_id)
        self._timers[wanted.fragment_id] = asyncio.create_task(self._repeat(wanted.fragment_id, wanted.interval))

    def _take_stop_auto_rerun(self, unwanted: Any, _: Any) -> None:
        for fragment in unwanted.fragment_ids:
            self._end_timer(fragment)

    async def _repeat(self, fragment: str, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._send_rerun(fragment=fragment, timer=True)

    def _end_timer(self, fragment: str) -> None:
        timer = self._timers.pop(fragment, None)
        if timer is not None:
            timer.cancel()

    def _end_timers(self) -> None:
        for fragment in list(self._timers):
            self._end_timer(fragment)

    def _put(self, path: str, name: str, data: bytes, kind: str) -> None:
        """Upload as the browser does, with the cookie that shows that the request is our own."""
        with DIRECT.open(f"{self.url}/_stcore/health", timeout=60) as answer:
            cookies = answer.headers.get_all("Set-Cookie") or []
        token = next(
            (each.split(";")[0].split("=", 1)[1] for each in cookies if each.startswith("_streamlit_xsrf")), ""
        )
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        body = f"{head}Content-Type: {kind}\r\n\r\n".encode() + data + f"\r\n--{mark}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={mark}",
            "X-Xsrftoken": token,
            "Cookie": f"_streamlit_xsrf={token}",
        }
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method="PUT")
        with DIRECT.open(request, timeout=120) as answer:
            answer.read()
