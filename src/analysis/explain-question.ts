/** A question as a command or a call of the local API asks it, with the caller by name. */
import { TrysailError } from '../lib/errors.ts';
import type { Explanation } from '../model/explanation.ts';
import type { Host } from '../model/host.ts';
import { DEFAULT_NAMESPACE } from '../model/host-names.ts';
import { labelsOfInstance } from '../model/labels.ts';
import type { Mesh } from '../model/mesh.ts';
import { parseWorkloadSpiffeId } from '../model/spiffe-id.ts';
import { parseRequest, type WrittenRequest } from './called-request.ts';
import { type Configuration, seenFrom } from './configuration.ts';
import { type DescribedWorkload, findWorkload, NO_LOCALITY } from './described-workload.ts';
import { explain } from './explain.ts';
import { type Caller, callerIdentity } from './explain-host.ts';
import { explainGatewayOffline, explainGatewayOnHost } from './gateway-question.ts';
import { servedPorts } from './served-ports.ts';

export interface Question extends WrittenRequest {
  /** `web.default`, `web`: a workload or service, and its namespace. */
  readonly from?: string;
  /** `default/public`: what arrives there from outside, instead of a call of the mesh. */
  readonly gateway?: string;
}

function splitName(written: string): { readonly name: string; readonly namespace: string } {
  const slash = written.split('/');
  if (slash.length === 2) return { namespace: slash[0] ?? '', name: slash[1] ?? '' };
  const dot = written.lastIndexOf('.');
  return dot === -1
    ? { name: written, namespace: DEFAULT_NAMESPACE }
    : { name: written.slice(0, dot), namespace: written.slice(dot + 1) };
}

/** Who a described workload calls as. */
function callerOf(configuration: Configuration, workload: DescribedWorkload): Caller {
  const served = servedPorts(configuration, workload)[0];
  const { namespace, labels, locality } = workload;
  const name = workload.name ?? served?.service.name ?? 'workload';
  const account = workload.serviceAccount ?? served?.account ?? name;
  return { namespace, name, labels, locality, identity: callerIdentity(configuration.mesh, namespace, account) };
}

/**
 * Answers from files.
 * @param described the caller, where options describe it; else `question.from` names it
 * @throws TrysailError `REQUEST_INVALID`, `WORKLOAD_UNKNOWN`, `GATEWAY_UNKNOWN`
 */
export function explainOffline(
  configuration: Configuration,
  question: Question,
  described: DescribedWorkload | undefined,
): Explanation {
  const request = parseRequest(question);
  if (question.gateway !== undefined) return explainGatewayOffline(configuration, question.gateway, described, request);
  const asked = (caller: DescribedWorkload): Explanation => {
    const seen = seenFrom(configuration, caller.namespace);
    return explain(seen.mesh, callerOf(seen, caller), request);
  };
  if (described !== undefined) return asked(described);
  const { name, namespace } = splitName(question.from ?? '');
  const found = namedCaller(configuration, namespace, name);
  const labels = labelsOfInstance(name, {});
  const stranger = { namespace, name, labels, serviceAccount: name, address: undefined, locality: NO_LOCALITY };
  const answer = asked(found ?? stranger);
  return found === undefined ? { ...answer, request: { ...answer.request, callerKnown: false } } : answer;
}

/** A workload or service of that name, else a workload with that `app` label or service account. */
function namedCaller(configuration: Configuration, namespace: string, name: string): DescribedWorkload | undefined {
  try {
    return findWorkload(configuration, `${namespace}/${name}`);
  } catch (error) {
    if (!(error instanceof TrysailError)) throw error;
  }
  const entry = configuration.resources.workloadEntries.find(
    ({ meta, workload }) =>
      meta.namespace === namespace && (workload.labels['app'] === name || workload.serviceAccount === name),
  );
  return entry === undefined ? undefined : findWorkload(configuration, `${namespace}/${entry.meta.name}`);
}

/**
 * Answers from the mesh that a host works with: the caller is one of its workloads or captured callers, the first one
 * where the question names none.
 * @throws TrysailError `REQUEST_INVALID`, `WORKLOAD_UNKNOWN`, `GATEWAY_UNKNOWN`
 */
export function explainOnHost(mesh: Mesh, host: Host, question: Question): Explanation {
  if (question.gateway !== undefined) return explainGatewayOnHost(mesh, host, question.gateway, parseRequest(question));
  const callers = [
    ...host.workloads.map(({ namespace, service, labels, identity }) => ({
      namespace,
      name: service,
      labels,
      identity,
    })),
    ...(host.callers ?? []).map(({ namespace, identity }) => ({
      namespace,
      name: (identity === undefined ? undefined : parseWorkloadSpiffeId(identity)?.serviceAccount) ?? 'host',
      labels: {},
      identity,
    })),
    ...(host.callerIdentity === undefined
      ? []
      : [host.callerIdentity].flatMap((identity) => {
          const parsed = parseWorkloadSpiffeId(identity);
          return parsed === undefined
            ? []
            : [{ namespace: parsed.namespace, name: parsed.serviceAccount, labels: {}, identity }];
        })),
  ];
  const wanted = question.from === undefined ? undefined : splitName(question.from);
  const found = callers.find(
    (one) => wanted === undefined || (one.name === wanted.name && one.namespace === wanted.namespace),
  );
  if (found === undefined && wanted !== undefined)
    throw new TrysailError('WORKLOAD_UNKNOWN', `${wanted.name}.${wanted.namespace} does not call from this host`, {
      remedy:
        callers.length === 0
          ? 'Ask on the host where it runs, or from files: trysail explain -f.'
          : `Name one of: ${[...new Set(callers.map((one) => `${one.name}.${one.namespace}`))].join(', ')}.`,
    });
  const { namespace, name, labels, identity } = found ?? {
    namespace: DEFAULT_NAMESPACE,
    name: 'host',
    labels: {},
    identity: undefined,
  };
  const caller: Caller = {
    namespace,
    name,
    labels,
    identity: host.withoutCertificates === true ? undefined : identity,
    locality: host.locality,
  };
  return explain(mesh, caller, parseRequest(question));
}
