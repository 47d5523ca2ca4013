/** Answers of `/v1/health/service/<name>`. https://developer.hashicorp.com/consul/api-docs/health */
import { fieldsOf, numberOf, textMapOf, textOf, textsOf } from './answer.ts';

export type CheckStatus = 'passing' | 'warning' | 'critical';

/** The check that Consul's gossip makes of every node. */
export const GOSSIP_CHECK = 'serfHealth';

/** One check of an instance or of its node. */
export interface HealthCheck {
  /** Unique on the node. */
  readonly id: string;
  /** `maintenance` and anything unknown count as critical. */
  readonly status: CheckStatus;
  /** Whether it is a check of the node and not of this service. */
  readonly ofNode: boolean;
}

/** One instance as registered; nothing in it is verified. Missing texts are empty, missing numbers 0. */
export interface HealthEntry {
  readonly node: string;
  readonly nodeAddress: string;
  readonly datacenter: string;
  readonly serviceId: string;
  /** Empty when the node's address holds. */
  readonly serviceAddress: string;
  readonly port: number;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly checks: readonly HealthCheck[];
}

/** A status as Consul writes it. */
export function checkStatusOf(value: unknown): CheckStatus {
  return value === 'passing' || value === 'warning' ? value : 'critical';
}

/** Reads one entry; whatever is missing or of a wrong type is empty. */
export function healthEntryOf(value: unknown): HealthEntry {
  const entry = fieldsOf(value);
  const node = fieldsOf(entry['Node']);
  const service = fieldsOf(entry['Service']);
  const weights = fieldsOf(service['Weights']);
  const checks = Array.isArray(entry['Checks']) ? entry['Checks'].map(fieldsOf) : [];
  return {
    node: textOf(node['Node']),
    nodeAddress: textOf(node['Address']),
    datacenter: textOf(node['Datacenter']),
    serviceId: textOf(service['ID']),
    serviceAddress: textOf(service['Address']),
    port: numberOf(service['Port']),
    tags: textsOf(service['Tags']),
    meta: textMapOf(service['Meta']),
    weights: { passing: numberOf(weights['Passing'], 1), warning: numberOf(weights['Warning'], 1) },
    checks: checks.map((check) => ({
      id: textOf(check['CheckID']),
      status: checkStatusOf(check['Status']),
      ofNode: textOf(check['ServiceID']) === '',
    })),
  };
}
