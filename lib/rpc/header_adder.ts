import { Metadata } from "../core/grpc/metadata.ts";

/** Sets one header in copies of request metadata; for metadata that comes again, in one copy. */
export class HeaderAdder {
  readonly #name: string;
  #last: { readonly value: string; readonly from: Metadata; readonly to: Metadata } | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** @param constant Whether `metadata` comes again with other calls, unchanged. */
  add(value: string, metadata: Metadata, constant: boolean): Metadata {
    if (constant && this.#last?.value === value && this.#last.from === metadata) return this.#last.to;
    const to = new Metadata(metadata);
    to.set(this.#name, value);
    if (constant) this.#last = { value, from: metadata, to };
    return to;
  }
}
