"""Documents come into an index, go, and are shown. Each write is on disk when it is answered."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from thought1.serving.asking import Asking
from thought1.serving.checks import at_most, check_texts
from thought1.serving.context import BEARER, ERRORS, Context, Server
from thought1.serving.embedding_bodies import (
    DeleteResponse,
    DocumentOut,
    DocumentsRequest,
    DocumentsResponse,
)
from thought1.serving.errors import ApiError
from thought1.serving.jobs import Cancelled, Ticket
from thought1.serving.shelf import ServedIndex
from thought1.types import Document

router = APIRouter(dependencies=[Depends(BEARER)], responses=ERRORS)

Identifier = Annotated[str, Query(min_length=1, max_length=1000)]
IndexName = Annotated[str | None, Query(min_length=1, max_length=200)]


@router.post("/v1/documents")
async def add(body: DocumentsRequest, request: Request, server: Server) -> DocumentsResponse:
    """Add documents; one replaces the one that has its id, an unchanged one costs nothing."""
    limits = server.limits
    texts = [text for one in body.documents for text in (one.text, one.title)]
    at_most("documents", len(body.documents), limits.documents)
    check_texts("documents", texts, 2 * limits.documents, limits.characters)
    served = server.shelf.index(body.index)
    documents = [Document(one.id, one.text, one.title, one.metadata) for one in body.documents]  # type: ignore[arg-type]  # storable converts
    added = await server.desk.run(request, "write", lambda ticket: _add(served, documents, ticket))
    server.tidying.written(served)
    return added


@router.delete("/v1/documents")
async def delete_many(
    request: Request,
    server: Server,
    id: Annotated[list[Identifier], Query(min_length=1)],
    index: IndexName = None,
) -> DeleteResponse:
    """Remove documents; an id that is not there is no error."""
    return await _delete(request, server, id, index)


@router.delete("/v1/documents/{id:path}")
async def delete(
    request: Request,
    server: Server,
    id: Annotated[str, Path(min_length=1, max_length=1000)],
    index: IndexName = None,
) -> DeleteResponse:
    """Remove a document; that it is not there is no error."""
    return await _delete(request, server, [id], index)


@router.get("/v1/documents/{id:path}")
async def show(
    request: Request,
    server: Server,
    id: Annotated[str, Path(min_length=1, max_length=1000)],
    index: IndexName = None,
) -> DocumentOut:
    """A stored document."""
    served = server.shelf.index(index)
    found = await server.desk.run(request, "model", lambda _ticket: served.searching.get([id]))
    if id not in found:
        raise ApiError(404, "document_not_found", "there is no such document in the index", "id")
    document = found[id]
    return DocumentOut(
        index=served.name,
        id=document.id,
        title=document.title,
        text=document.text,
        metadata=dict(document.metadata),
    )


async def _delete(
    request: Request, server: Context, ids: list[str], index: str | None
) -> DeleteResponse:
    at_most("id", len(ids), server.limits.documents)
    served = server.shelf.index(index)

    def work(ticket: Ticket) -> DeleteResponse:
        with served.writing:
            deleted = served.index.delete(ids)
        return DeleteResponse(index=served.name, deleted=deleted, documents=len(served.index))

    deleted = await server.desk.run(request, "write", work)
    server.tidying.written(served)
    return deleted


def _add(served: ServedIndex, documents: list[Document], ticket: Ticket) -> DocumentsResponse:
    with served.writing:
        if ticket.cancelled:  # while it waited for its turn
            raise Cancelled
        report = served.index.with_model(Asking(served.model.batcher, ticket)).add(documents)
    return DocumentsResponse(
        index=served.name,
        added=report.added,
        replaced=report.replaced,
        unchanged=report.unchanged,
        documents=len(served.index),
    )
