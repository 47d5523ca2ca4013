/** How the CA says no. */

/** `RETRY`: nothing is wrong with the caller, who may ask again at once. */
export type RefusalStatus = 'UNAUTHENTICATED' | 'PERMISSION_DENIED' | 'INVALID_ARGUMENT' | 'RETRY';

/** A request that the CA answers with no; the message says what the caller can do. */
export class Refusal extends Error {
  readonly status: RefusalStatus;

  constructor(status: RefusalStatus, message: string) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
  }
}
