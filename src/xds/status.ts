/** What the server knows of its clients, as plain data. */
import type { Rejection } from './subscription.ts';

export interface XdsStatus {
  /** How often `setResources` was called. */
  readonly generation: number;
  readonly clients: readonly ClientStatus[];
  readonly counters: XdsCounters;
}

/** Counts since the server was made. */
export interface XdsCounters {
  readonly responsesSent: number;
  readonly bytesSent: number;
  readonly acknowledged: number;
  readonly rejected: number;
  /** Responses that a client did not answer in time. */
  readonly overdue: number;
  /** Requests that referred to a response which is not the last one. */
  readonly stale: number;
}

/** One stream of one client. */
export interface ClientStatus {
  readonly nodeId: string;
  readonly nodeCluster: string;
  readonly userAgent: string;
  /** Milliseconds since the epoch. */
  readonly connectedAt: number;
  readonly mode: 'sotw' | 'delta';
  /** By type URL. */
  readonly types: Readonly<Record<string, ClientTypeStatus>>;
  /** Whether the client has acknowledged everything it asked for, as it is now. Not that it is in effect. */
  readonly upToDate: boolean;
}

export interface ClientTypeStatus {
  readonly wantsAll: boolean;
  /** Number of names asked for. */
  readonly subscribed: number;
  /** Number of responses. */
  readonly sent: number;
  readonly acknowledgedVersion: string | undefined;
  /** Milliseconds since the epoch. */
  readonly acknowledgedAt: number | undefined;
  /** For how long a response has been waiting for its answer, in milliseconds. */
  readonly inFlightMs: number | undefined;
  readonly overdue: boolean;
  /** Whether the client has answered everything that it asked for, as it is now. */
  readonly settled: boolean;
  /** Whether it has accepted all of that. */
  readonly upToDate: boolean;
  /** The refusal that still holds. */
  readonly rejected: Rejection | undefined;
  readonly rejectedCount: number;
}

/** A client refused a response; it goes on with what it had. */
export interface RejectEvent extends Rejection {
  readonly nodeId: string;
  readonly typeUrl: string;
}

/** A client accepted a response. That it is valid, not that it is in effect. */
export interface AcknowledgeEvent {
  readonly nodeId: string;
  readonly typeUrl: string;
  readonly version: string;
}

/** A client has not answered a response in time. */
export interface OverdueEvent extends AcknowledgeEvent {
  readonly waitedMs: number;
}
