import { nameErrors } from "../core/error_name.ts";
import type { OptionProblem } from "./problem.ts";

/**
 * Thrown before anything is sent, if an option, the address or an argument cannot be used.
 *
 * Source: the `ValueError` of Python's `DialOptions.with_api_key`.
 *
 * @example
 * ```ts
 * import { DialOptions, DialOptionsError } from "@viam-dial/dial";
 *
 * try {
 *   DialOptions.withApiKey("the-key", "not a UUID");
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
  /** Every problem, not only the first. */
  readonly problems: readonly OptionProblem[];

  /**
   * Lists every problem in its message.
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

nameErrors({ DialOptionsError });
