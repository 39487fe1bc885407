"""The ASGI application: a page for people, and the same answers for programs.

GET / is the page, GET /model what the models are, GET /health whether they answer; POST /predict and POST /explain take
an image's bytes as the body. Every error is {"error": why}, with a status from 400 to 499 for a mistake of the request.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .. import __version__
from ..data.decoding.reading import silence_pillow
from ..errors import UserError, nearest
from ..model import Model
from .batches import Batches, Full
from .explaining import explanation
from .guard import Guard
from .page import Page
from .uploads import Refused, body_of, decoded

BUSY = "too many requests wait; try again in a moment"
logger = logging.getLogger(__name__)


def application(models: Mapping[str, Model], host: str = "127.0.0.1", names: Iterable[str] = ()) -> Guard:
    """Return the application that answers for models, by their short names; it may be mounted in any ASGI server.

    `host` is where the server listens, `names` are further ones that it may be called by.
    """
    silence_pillow()
    service = Service(models)
    page = Page(list(models))

    async def root(request: Request) -> Response:
        return HTMLResponse(page.html)

    routes = [
        Route("/", root),
        Route("/model", service.model),
        Route("/health", service.health),
        Route("/predict", service.predict, methods=["POST"]),
        Route("/explain", service.explain, methods=["POST"]),
    ]
    told: dict[Any, Any] = {Refused: _refused, HTTPException: _not_found, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=told, lifespan=service.lifespan)
    return Guard(app, host, names, page.policy)


class Service:
    """The models, and what is answered for them."""

    def __init__(self, models: Mapping[str, Model]):
        self.models = dict(models)
        self.batches = Batches()

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(self.batches.close)

    async def model(self, request: Request) -> Response:
        """Answer what the models are."""
        return JSONResponse({"version": __version__, "models": [described(*one) for one in self.models.items()]})

    async def health(self, request: Request) -> Response:
        """Answer that requests are answered."""
        return JSONResponse({"status": "ok"})

    async def predict(self, request: Request) -> Response:
        """Answer an image's likeliest classes: {"model", "classes", "probabilities"}."""
        name, model = self._asked(request)
        top = number_in(request, "top", 5)
        with on_its_way(self.batches):
            body = await body_of(request)
            inputs = await run_in_threadpool(lambda: model.transform(decoded(body)))
        row = await self._computed(lambda: self.batches.answer(model, inputs))
        if not np.isfinite(row).all():
            raise Refused(500, f"{name} answers with NaN: its weights are damaged")
        best = np.argsort(-row, kind="stable")[:top]
        return JSONResponse(
            {"model": name, "classes": [model.classes[i] for i in best], "probabilities": row[best].tolist()}
        )

    async def explain(self, request: Request) -> Response:
        """Answer why a model gives an image a class: a picture, and how faithful it is."""
        name, model = self._asked(request)
        image = await run_in_threadpool(decoded, await body_of(request))
        wanted, method = request.query_params.get("class"), request.query_params.get("method")
        try:
            found = await self._computed(lambda: self.batches.call(lambda: explanation(model, image, wanted, method)))
        except UserError as error:
            raise Refused(400, str(error)) from error
        return JSONResponse({"model": name} | found)

    async def _computed(self, put: Callable[[], Future]) -> Any:
        """Return what a job gives, once its turn has come; raises Refused where too many wait."""
        try:
            return await asyncio.wrap_future(put())
        except Full as error:
            raise Refused(503, BUSY) from error

    def _asked(self, request: Request) -> tuple[str, Model]:
        """Return the model that a request names, the first where it names none."""
        name = request.query_params.get("model", next(iter(self.models)))
        if name not in self.models:
            known = ", ".join(self.models)
            raise Refused(400, f"there is no model {name:.80} here{nearest(name, self.models)} ({known})")
        return name, self.models[name]


@contextmanager
def on_its_way(batches: Batches) -> Any:
    """Let those who gather requests know that one more is coming."""
    batches.on_their_way += 1
    try:
        yield
    finally:
        batches.on_their_way -= 1


def number_in(request: Request, key: str, usual: int) -> int:
    """Return a count in a request's address; raises Refused for what is none."""
    text = request.query_params.get(key, str(usual))
    if not text.isdecimal() or int(text[:9]) < 1:
        raise Refused(400, f"{key} is {text:.40}; a number from 1 is expected")
    return int(text[:9])


def described(name: str, model: Model) -> dict[str, Any]:
    """Return what a program must know of a model."""
    preprocessing = model.preprocessing
    return {
        "name": name,
        "architecture": model.architecture.name,
        "classes": list(model.classes),
        "output": model.output,
        "preprocessing": vars(preprocessing),
    }


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"connection": "close"} if error.status in (408, 413) else {}  # what still comes is not read
    return JSONResponse({"error": error.reason}, error.status, headers)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reasons = {404: "nothing is here; there are /, /model, /health, /predict and /explain"}
    reasons[405] = f"{request.method} is not answered here; /predict and /explain take POST, the others GET"
    return JSONResponse({"error": reasons.get(error.status_code, error.detail)}, error.status_code, error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    logger.error(f"a fault of ours at {request.url.path}: {error!r}")
    return JSONResponse({"error": "a fault of ours; the server's own lines say more"}, 500)
