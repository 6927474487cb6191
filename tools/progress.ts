/** The progress of a run of many files: one line that changes on a terminal, a line for each job elsewhere. */

const CLEAR_LINE = "\r\x1b[2K";

/** Shows progress on standard output. */
export class Progress {
  readonly #total: number;
  readonly #terminal = Deno.stdout.isTerminal() && Deno.env.get("CI") === undefined;
  readonly #running = new Set<string>();
  #done = 0;
  #failed = 0;

  constructor(total: number) {
    this.#total = total;
  }

  /** A job starts. */
  start(name: string): void {
    this.#running.add(name);
    this.#draw();
  }

  /** A job of `files` files has ended; `outcome` is a few words, `failure` what to show of a job that failed. */
  end(name: string, files: number, outcome: string, failure?: string): void {
    this.#running.delete(name);
    this.#done += files;
    if (failure !== undefined) this.#failed++;
    if (failure !== undefined) this.#print(`\n${failure.trimEnd()}\n`);
    if (failure !== undefined || !this.#terminal) {
      this.#print(
        `[${this.#done}/${this.#total}] ${failure === undefined ? "" : "FAILED "}${name}: ${outcome}`,
      );
    }
    this.#draw();
  }

  #print(line: string): void {
    console.log(this.#terminal ? CLEAR_LINE + line : line);
  }

  #draw(): void {
    if (!this.#terminal) return;
    const failed = this.#failed === 0 ? "" : `, ${this.#failed} failed`;
    const line = `[${this.#done}/${this.#total}${failed}] ${[...this.#running].join(", ")}`;
    const { columns } = Deno.consoleSize();
    const rest = this.#done < this.#total ? line.slice(0, columns - 1) : "";
    Deno.stdout.writeSync(new TextEncoder().encode(CLEAR_LINE + rest));
  }
}
