import { nameErrors } from "../errors.ts";
import type { OptionProblem } from "./option_problem.ts";

/**
 * An option, an address or an argument that cannot be used. Thrown before anything is sent.
 *
 * Source: the `ValueError` of Python's `DialOptions.with_api_key`.
 *
 * @example
 * ```ts
 * import { DialOptions, DialOptionsError } from "@viam-dial/dial";
 *
 * try {
 *   DialOptions.withApiKey("the-key", "no UUID");
 * } catch (error) {
 *   if (!(error instanceof DialOptionsError)) throw error;
 *   for (const { option, message } of error.problems) console.error(option, message);
 * }
 * ```
 */
export class DialOptionsError extends TypeError {
  /** The name of the class. */
  declare readonly name: string;
  /** Stable, for programs. */
  readonly code = "ERR_DIAL_OPTIONS";
  /** Everything that is wrong, not only the first thing. */
  readonly problems: readonly OptionProblem[];
  static {
    nameErrors(this, "DialOptionsError");
  }

  /**
   * Made of everything that is wrong.
   *
   * @param problems At least one.
   */
  constructor(problems: readonly OptionProblem[]) {
    const [first, ...others] = problems.map(({ message }) => message);
    super(
      others.length === 0
        ? first
        : `${problems.length} options cannot be used:\n  ${[first, ...others].join("\n  ")}`,
    );
    this.problems = Object.freeze([...problems]);
  }
}
