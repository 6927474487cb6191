/** A client that makes the measured calls. It leaves out what it cannot do. */
export interface Subject {
  /** One unary call; the answer contains what was sent. */
  unary?(data: Uint8Array): Promise<void>;
  /** One server stream. */
  download?(size: number, count: number): Promise<void>;
  /** One client stream of `count` messages. */
  upload?(data: Uint8Array, count: number): Promise<void>;
  /** One bidirectional stream: `count` messages go out, and as many come back. */
  exchange?(data: Uint8Array, count: number): Promise<void>;
  close(): Promise<void>;
}

/** Makes subjects; each `open` is one dial. */
export interface SubjectMaker {
  open(target: Target): Promise<Subject>;
}

/** The target of a dial. */
export interface Target {
  readonly address: string;
  /** The machine's certificate as PEM, if it speaks TLS. */
  readonly ca?: string;
  readonly apiKey?: string;
  readonly apiKeyId?: string;
  readonly accessToken?: string;
}

/** A command to a worker, one line of JSON each. */
export type Command =
  | { readonly op: "open"; readonly target: Target }
  | {
    readonly op: "unary";
    readonly size: number;
    readonly calls: number;
    readonly inFlight: number;
  }
  | {
    readonly op: "stream";
    readonly kind: "download" | "upload" | "exchange";
    readonly size: number;
    readonly count: number;
  }
  /** Opens, and makes one unary call of 64 bytes: the times of both, in milliseconds. */
  | { readonly op: "answer"; readonly target: Target }
  /** Opens and closes `count` channels, one after the other. */
  | { readonly op: "dial"; readonly target: Target; readonly count: number }
  /** Opens `count` more channels and keeps them open. */
  | { readonly op: "hold"; readonly target: Target; readonly count: number }
  | { readonly op: "memory"; readonly collect: boolean }
  | { readonly op: "exit" };

/** Its answer: figures, or undefined for what the subject cannot do. */
export interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly missing?: boolean;
  readonly figures?: Readonly<Record<string, number>>;
  /** The time of each dial, in milliseconds. */
  readonly times?: readonly number[];
  /** The number of failed dials. */
  readonly failures?: number;
  /** The reasons of failed dials, each once. */
  readonly reasons?: readonly string[];
}
