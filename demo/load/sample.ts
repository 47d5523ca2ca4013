/** What the load generator says of one request. */

export interface Sample {
  /** When it was sent, milliseconds since the epoch. */
  readonly at: number;
  /** Until the whole answer was there, or the failure. */
  readonly ms: number;
  /** Why it failed; undefined for an answer with status 200. */
  readonly failure?: string;
  /** Version of reviews that served it. */
  readonly reviews?: string;
  /** Instances that served it, by service; without ratings where reviews did not ask them. */
  readonly instances?: Readonly<Record<string, string>>;
}
