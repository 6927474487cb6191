/**
 * gRPC metadata: a `Headers` that remembers repeated values one by one.
 *
 * `Headers` joins the values of a name with ", ", and a value may hold a comma of its own, so the join cannot
 * be undone. A data channel and HTTP/2 both carry lists (protocol §4.7), and Go servers see them as lists.
 *
 * Source: gRPC over HTTP/2, *Custom-Metadata*.
 */
export interface Metadata extends Headers {
  /** The values of a name, one by one; for a `-bin` name also those that HTTP joined with a comma. */
  listOf(name: string): readonly string[];
  /** Every name, in lower case, with its values. */
  lists(): Generator<readonly [name: string, values: readonly string[]], void, undefined>;
}

/** Inside a function, so that the generated documentation shows the interface and not the class. */
function metadataClass(): typeof Metadata {
  return class MetadataHeaders extends Headers implements Metadata {
    #lists: Map<string, string[]> | undefined;

    constructor(init?: HeadersInit) {
      if (init === undefined) {
        super();
      } else if (init instanceof MetadataHeaders) {
        super(init);
        if (init.#lists !== undefined) {
          this.#lists = new Map(Array.from(init.#lists, ([name, values]) => [name, [...values]]));
        }
      } else if (Array.isArray(init)) {
        super();
        for (const [name, value] of init) this.append(name as string, value as string);
      } else {
        super(init);
      }
    }

    static from(init: HeadersInit | undefined): Metadata {
      return init instanceof MetadataHeaders ? init : new MetadataHeaders(init);
    }

    override append(name: string, value: string): void {
      const key = name.toLowerCase();
      const list = this.#lists?.get(key);
      // Looked up for the second value alone: a join of the values for each one would take the square of their number.
      const before = list === undefined ? this.get(name) : null;
      super.append(name, value);
      const normalized = value.trim();
      if (list !== undefined) list.push(normalized);
      else if (before !== null) (this.#lists ??= new Map()).set(key, [before, normalized]);
    }

    override set(name: string, value: string): void {
      super.set(name, value);
      this.#lists?.delete(name.toLowerCase());
    }

    override delete(name: string): void {
      super.delete(name);
      this.#lists?.delete(name.toLowerCase());
    }

    listOf(name: string): readonly string[] {
      const value = this.get(name);
      if (value === null) return [];
      return this.#split(name.toLowerCase(), value);
    }

    *lists(): Generator<readonly [name: string, values: readonly string[]], void, undefined> {
      for (const [name, value] of this) yield [name, this.#split(name, value)];
    }

    #split(name: string, value: string): readonly string[] {
      const list = this.#lists?.get(name) ?? [value];
      // Base64 contains no comma, so the join can be undone here.
      if (!name.endsWith("-bin") || !value.includes(",")) return list;
      return list.flatMap((one) => one.split(",")).map((part) => part.trim());
    }
  };
}

/**
 * gRPC metadata: `Headers` that keep the values of a repeated name apart.
 *
 * @example
 * ```ts
 * import { Metadata } from "@viam-dial/dial";
 *
 * const metadata = new Metadata([["x-tag", "a, b"], ["x-tag", "c"]]);
 * console.log(metadata.get("x-tag")); // a, b, c
 * console.log(metadata.listOf("x-tag")); // [ "a, b", "c" ]
 * ```
 */
export const Metadata: {
  /**
   * Makes metadata from what `Headers` accepts.
   *
   * @param init Pairs with the same name become a list; another `Metadata` is copied.
   */
  new (init?: HeadersInit): Metadata;
  /** Returns `init` itself if it is a `Metadata` already, or a copy of it as one. */
  from(init: HeadersInit | undefined): Metadata;
} = metadataClass();
