/** Something that makes the measured calls. What it cannot do it leaves out. */
export interface Subject {
  /** One unary call; the answer holds what was sent. */
  unary?(data: Uint8Array): Promise<void>;
  /** One server stream. */
  download?(size: number, count: number): Promise<void>;
  /** One client stream of `count` messages. */
  upload?(data: Uint8Array, count: number): Promise<void>;
  /** One bidi stream: `count` messages go out, as many come back. */
  exchange?(data: Uint8Array, count: number): Promise<void>;
  close(): Promise<void>;
}

/** Makes subjects; each `open` is one dial. */
export interface SubjectMaker {
  open(target: Target): Promise<Subject>;
}

/** What is dialed. */
export interface Target {
  readonly address: string;
  /** PEM, when the machine speaks TLS. */
  readonly ca?: string;
  readonly apiKey?: string;
  readonly apiKeyId?: string;
  readonly accessToken?: string;
}

/** What a worker is told, one line of JSON each. */
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
  /** Opens and closes `count` channels, one after the other. */
  | { readonly op: "dial"; readonly target: Target; readonly count: number }
  /** Keeps `count` more channels open. */
  | { readonly op: "hold"; readonly target: Target; readonly count: number }
  | { readonly op: "memory"; readonly collect: boolean }
  | { readonly op: "exit" };

/** What it answers: figures, or undefined for what the subject cannot do. */
export interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly missing?: boolean;
  readonly figures?: Readonly<Record<string, number>>;
  /** Of dials: each one's time in milliseconds. */
  readonly times?: readonly number[];
  /** Of dials: how many failed. */
  readonly failures?: number;
  /** Of dials: why, each once. */
  readonly reasons?: readonly string[];
}
