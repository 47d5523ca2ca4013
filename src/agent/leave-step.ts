/** What a step of leaving is: a state to reach, and how to see that it is reached. */

/** One thing to undo, and how to see that it is. */
export interface LeaveStep {
  /** The state afterwards, a sentence without its full stop. */
  readonly what: string;
  /** Why there is nothing to do on this host. */
  readonly skip?: string;
  /** Asked before, to leave alone what is as it should be, and after. Throws where it cannot be known. */
  isUndone(): Promise<boolean>;
  /** Returns what exactly was undone, where that is worth saying. */
  undo(): Promise<string | undefined | void>;
}
