/** Metadata and errors as the suite's messages have them. */

import { create } from "@bufbuild/protobuf";
import { type Any, anyPack, AnySchema } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError } from "@connectrpc/connect";
import { Metadata } from "../../lib/core/grpc/metadata.ts";
import { type Header, HeaderSchema, type WireError, WireErrorSchema } from "./protocol.ts";

/** Metadata as pairs: a repeated name stays repeated. */
export function toPairs(headers: readonly Header[]): [name: string, value: string][] {
  return headers.flatMap(({ name, value }) => value.map((item): [string, string] => [name, item]));
}

/** Adds metadata to `target`. */
export function appendTo(target: Headers, headers: readonly Header[]): void {
  for (const [name, value] of toPairs(headers)) target.append(name, value);
}

/** Metadata as a list of names, each with its values. */
export function toHeaders(headers: Headers): Header[] {
  return Array.from(
    Metadata.from(headers).lists(),
    ([name, value]) => create(HeaderSchema, { name, value: [...value] }),
  );
}

/** An error of a call, as the client reports it. */
export function toWireError(error: ConnectError): WireError {
  return create(WireErrorSchema, {
    // The suite numbers codes as gRPC does.
    code: error.code as number as WireError["code"],
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : create(AnySchema, { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value })
    ),
  });
}

/** The error that a definition asks a server for, with `extra` details after its own. */
export function fromWireError(error: WireError, extra: readonly Any[] = []): ConnectError {
  const result = new ConnectError(error.message ?? "", error.code as number as Code);
  result.details = [...error.details, ...extra].map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return result;
}
