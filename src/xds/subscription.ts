/** What all subscriptions share: one type on one stream, with at most one unacknowledged response. */
import type { Pending } from './change-queue.ts';
import type { PreparedResource } from './prepared-resource.ts';
import type { Response, ResponseEncoder } from './response.ts';
import type { ClientTypeStatus } from './status.ts';
import type { Entry, Subscriber, TypeTable } from './type-table.ts';

/** What may go out now. What the client has just asked for always may. */
export interface Gate {
  readonly upserts: boolean;
  readonly removals: boolean;
  /** Whether the caller wants to know what is delivered. */
  readonly deliveries: boolean;
  /** Resources that have to wait although others may go: until a cluster is sent, or one that was refused is mended. */
  holds(resource: PreparedResource): boolean;
}

/** A response that the client has not answered. */
export interface InFlight {
  readonly nonce: string;
  readonly version: string;
  /** The oldest change in it; 0 when it answers a request, Infinity when it changes nothing. */
  readonly generation: number;
  /** In milliseconds of `performance.now()`. */
  readonly sentAtMs: number;
  readonly entries: readonly Entry[];
  /** Those of the entries that the client held nothing of. */
  readonly fresh: readonly Entry[];
}

/** A resource that the client is given, and what it held under that name, where that is known. */
export interface Delivery {
  readonly resource: PreparedResource;
  readonly before: PreparedResource | undefined;
}

/** A response to be written, and the resources in it that are new or changed for the client. */
export interface Outgoing {
  readonly response: Response;
  /** Empty unless the gate asked for them. */
  readonly deliveries: readonly Delivery[];
  /** Whether it carries changes, as opposed to what the client asked for. */
  readonly carriesChanges: boolean;
}

export interface Rejection {
  /** Those that the client's message mentions, else all that the response carried. */
  readonly names: readonly string[];
  /** Whether `names` are mentioned in the message. */
  readonly blamed: boolean;
  readonly version: string;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** State of one resource as the server knows it. `unsent`: asked for, and there is something that was not sent yet. */
export interface ResourceStatus {
  readonly name: string;
  readonly version: string;
  readonly state: 'acknowledged' | 'rejected' | 'missing' | 'sent' | 'unsent';
}

export interface SubscriptionContext {
  readonly encoder: ResponseEncoder;
  /** Whether the client drops resources by their time to live. */
  readonly supportsTtl: boolean;
  /** Whether a name of which there is nothing is answered by a removal. */
  readonly announceMissing: boolean;
  /** The most names that it may ask for. */
  readonly maxNames: number;
  /** The number of the last change. */
  generation(): number;
  /** Something is to be sent. */
  wake(): void;
}

/** A client asked for more names than it may. */
export class TooManyNames extends Error {}

export abstract class Subscription implements Subscriber {
  readonly table: TypeTable;
  readonly number: number;
  readonly context: SubscriptionContext;
  inFlight: InFlight | undefined;
  /** Whether the answer to `inFlight` is overdue and was counted. */
  overdue = false;
  lastNonce = '';
  lastSerial = 0;
  /** The encoded names of the client's last request. */
  rawNames: Uint8Array = new Uint8Array();
  acknowledged: { readonly version: string; readonly at: number } | undefined;
  rejection: Rejection | undefined;
  sent = 0;
  rejectedCount = 0;

  constructor(table: TypeTable, context: SubscriptionContext) {
    this.table = table;
    this.number = table.join(this);
    this.context = context;
  }

  abstract readonly kind: 'sotw' | 'delta';
  /** Whether the client wants everything of this type. */
  abstract readonly wantsAll: boolean;
  /** How many names the client has asked for. */
  abstract readonly nameCount: number;
  abstract readonly upserts: Pending | undefined;
  abstract readonly removals: Pending | undefined;
  /** Whether something the client asked for is still to be sent. */
  abstract readonly owesAnswer: boolean;
  /** Whether the client refused something that is still current. */
  abstract readonly hasRejected: boolean;

  abstract changed(entry: Entry, generation: number): void;
  /** New and changed resources that are still to be sent. */
  abstract pendingResources(): Iterable<PreparedResource>;
  /** The next response, noted as in flight; undefined when there is nothing to send. */
  abstract compose(gate: Gate, nowMs: number): Outgoing | undefined;
  /** The client refused the response in flight; returns the names to blame. */
  protected abstract refuse(inFlight: InFlight, message: string): Pick<Rejection, 'names' | 'blamed'>;
  /** Whether the client does not hold a resource because it refused it. */
  abstract lacks(name: string): boolean;
  /** Sends it again if the client asked for it, whatever it holds. */
  abstract sendAgain(name: string): void;
  /** Renews the time to live of what the client holds. */
  abstract heartbeat(): void;
  abstract statuses(): Iterable<ResourceStatus>;
  abstract close(): void;

  /** Whether the client has answered all that it wants and that there is. */
  get settled(): boolean {
    return this.inFlight === undefined && this.upserts === undefined && this.removals === undefined && !this.owesAnswer;
  }

  /** Whether it has accepted all of that. */
  get upToDate(): boolean {
    return this.settled && !this.hasRejected;
  }

  status(): ClientTypeStatus {
    const { inFlight, acknowledged } = this;
    return {
      wantsAll: this.wantsAll,
      subscribed: this.nameCount,
      sent: this.sent,
      acknowledgedVersion: acknowledged?.version,
      acknowledgedAt: acknowledged?.at,
      inFlightMs: inFlight === undefined ? undefined : performance.now() - inFlight.sentAtMs,
      overdue: this.overdue,
      settled: this.settled,
      upToDate: this.upToDate,
      rejected: this.rejection,
      rejectedCount: this.rejectedCount,
    };
  }

  protected noteSent(response: Response, inFlight: Omit<InFlight, 'nonce'>): void {
    this.lastNonce = response.nonce;
    this.lastSerial = response.serial;
    this.inFlight = { ...inFlight, nonce: response.nonce };
    this.overdue = false;
    this.sent += 1;
  }

  /** @param error the client's message when it refused; undefined when it accepted */
  answered(
    error: string | undefined,
  ): { readonly inFlight: InFlight; readonly rejection: Rejection | undefined } | undefined {
    const { inFlight } = this;
    if (inFlight === undefined) return undefined;
    this.inFlight = undefined;
    this.overdue = false;
    if (error === undefined) {
      this.acknowledged = { version: inFlight.version, at: Date.now() };
      if (!this.hasRejected) this.rejection = undefined;
      return { inFlight, rejection: undefined };
    }
    this.rejectedCount += 1;
    this.rejection = { ...this.refuse(inFlight, error), version: inFlight.version, message: error, at: Date.now() };
    return { inFlight, rejection: this.rejection };
  }
}
