/**
 * What becomes of a request or connection that arrives at a gateway from outside: its Envoy is translated as for a real
 * host, and the request led through listener, filter chains, virtual hosts and routes.
 */
import type { JsonObject } from '@bufbuild/protobuf';
import type { Explanation } from '../model/explanation.ts';
import type { GatewayRole, Host } from '../model/host.ts';
import type { Mesh } from '../model/mesh.ts';
import { type BoundServer, type GatewayPort, mergeServers } from '../translate/gateway/gateway-servers.ts';
import { listenerName } from '../translate/names.ts';
import { Translator } from '../translate/translator.ts';
import { LISTENER, ROUTE_CONFIG } from '../translate/type-urls.ts';
import { clientKey, gatewayCalling } from '../translate/view/calling.ts';
import { MeshView } from '../translate/view/mesh-view.ts';
import type { CalledRequest } from './called-request.ts';
import { chooseChain, lastFilter } from './chain-choice.ts';
import {
  connectionAtServers,
  ignoredAtServers,
  redirectingServer,
  requestAtServers,
  serversOfChain,
} from './considered-gateway.ts';
import { countingLimits } from './counting-limits.ts';
import {
  type Answer,
  byRoute,
  largest,
  led,
  NOTHING,
  patchingFilters,
  resourceOf,
  type Translated,
} from './explained-answer.ts';
import { at, objectsAt, textAt } from './json-access.ts';
import { routeFacts } from './route-facts.ts';
import { chooseVirtualHost, routedPath, routeMisfit } from './route-matcher.ts';

interface Arrived extends Translated {
  readonly role: GatewayRole;
  readonly port: GatewayPort;
  readonly request: CalledRequest;
}

/** The request as Envoy sees it once it has ended TLS. */
function decrypted(request: CalledRequest): CalledRequest {
  const headers = new Map([...request.headers, [':scheme', 'https'], ['x-forwarded-proto', 'https']]);
  return { ...request, kind: 'http', headers };
}

function overHttp(arrived: Arrived, manager: JsonObject, servers: readonly BoundServer[]): Answer {
  const isTls = arrived.request.kind === 'tls';
  const request = isTls ? decrypted(arrived.request) : arrived.request;
  const config = resourceOf(arrived, ROUTE_CONFIG, textAt(manager, 'rds', 'route_config_name'));
  const authority = request.headers.get(':authority') ?? '';
  const virtualHost = chooseVirtualHost(config, authority);
  const answer: Answer = { ...NOTHING, protocol: 'http' };
  if (virtualHost === undefined)
    return {
      ...answer,
      outcome: 'not-found',
      note: `no VirtualService of this gateway has the host ${authority} at a server that offers it: Envoy answers 404`,
    };
  const path = routedPath(request.path, manager);
  const query = /\?[^#]*/.exec(request.path)?.[0] ?? '';
  if (at(virtualHost, 'require_tls') === 'ALL' && !isTls) {
    const said = redirectingServer(arrived, servers, authority);
    const location = `https://${authority}${path}${query}`;
    return {
      ...answer,
      outcome: 'redirected',
      note: said === undefined ? undefined : `${said.gateway} has httpsRedirect for it`,
      source: said?.source,
      action: { ...routeFacts({}, request, `${path}${query}`), redirect: { code: 301, location } },
    };
  }
  const routes = objectsAt(virtualHost, 'routes');
  const taken = routes.find((route) => routeMisfit(route, request, path) === undefined);
  const { virtualService, considered, name, source } = requestAtServers(
    { ...arrived, request },
    servers,
    virtualHost,
    path,
  );
  const asked: Answer = { ...answer, virtualService, considered };
  if (taken === undefined) return { ...asked, outcome: 'not-found', note: 'no route fits: Envoy answers 404' };
  return {
    ...asked,
    route: name ?? textAt(taken, 'name'),
    source,
    rateLimits: countingLimits(
      arrived.mesh,
      arrived.role,
      { manager, virtualHost, route: taken },
      { request, path: `${path}${query}`, isTls },
    ),
    ...byRoute(arrived, taken, request, `${path}${query}`),
  };
}

/** Why a connection of this kind is not served at the port, whatever it asks for. */
function wrongKind({ kind, number }: GatewayPort, request: CalledRequest): string | undefined {
  if (kind === 'http' && request.kind === 'tls') return `port ${number} speaks HTTP without TLS`;
  if (kind === 'tls' && request.kind !== 'tls') return `port ${number} speaks TLS: call https://${request.host}`;
  return undefined;
}

function answerAt(arrived: Arrived): Answer {
  const { port, request } = arrived;
  const wrong = wrongKind(port, request);
  if (wrong !== undefined) return { ...NOTHING, note: wrong };
  const listener = resourceOf(arrived, LISTENER, listenerName(port.listen));
  if (listener === undefined)
    return {
      ...NOTHING,
      note: `nothing listens at port ${port.number}: none of its servers has a route or certificate`,
    };
  const { address } = port.listen;
  const connection = {
    address,
    port: port.listen.port,
    sni: request.sni,
    isTls: request.kind === 'tls',
    protocols: [],
  };
  const chain = chooseChain(listener, connection);
  const filter = chain === undefined ? undefined : lastFilter(chain);
  if (chain === undefined || filter === undefined)
    return { ...NOTHING, note: `no server of port ${port.number} serves the name ${request.sni ?? '(none)'}` };
  const servers = serversOfChain(port, textAt(chain, 'name'), request.sni);
  if (filter.type === 'HttpConnectionManager') {
    if (request.kind !== 'tcp') return overHttp(arrived, filter.config, servers);
    return { ...NOTHING, protocol: 'http', note: `port ${port.number} speaks HTTP, and this is no HTTP request` };
  }
  const answer: Answer = { ...NOTHING, protocol: 'tcp', ...led(arrived, filter.config) };
  const note = request.kind === 'http' ? `port ${port.number} carries bytes: rules for HTTP have no effect` : undefined;
  return { ...answer, note, ...connectionAtServers(arrived, servers, answer.destinations) };
}

function numbers(ports: readonly GatewayPort[]): string {
  return ports.length === 0
    ? 'no Gateway selects it'
    : `it has ${[...new Set(ports.map(({ number }) => number))].toSorted((a, b) => a - b).join(', ')}`;
}

/** The port that a caller outside means: by the Gateways' number, else by that at which the host listens for it. */
function portOf(ports: readonly GatewayPort[], { port, host }: CalledRequest): GatewayPort | undefined {
  const named = ports.filter(({ number }) => number === port);
  const found = named.length === 0 ? ports.filter(({ listen }) => listen.port === port) : named;
  return found.find(({ listen }) => listen.address === host) ?? found[0];
}

/**
 * Pure.
 * @param role the gateway
 * @param host whose files it has; nothing else of the host matters
 */
export function explainAtGateway(
  mesh: Mesh,
  host: Pick<Host, 'locality' | 'credentialsFolder' | 'systemRootsFile'>,
  role: GatewayRole,
  request: CalledRequest,
): Explanation {
  const { ports } = mergeServers(mesh.gateways, role);
  const port = portOf(ports, request);
  const calling = gatewayCalling(role);
  const view = new MeshView(calling, clientKey(calling, true));
  view.look(mesh, undefined);
  const id = `${role.namespace}/${role.name}`;
  const isHttp = request.kind !== 'tcp';
  let answer: Answer = { ...NOTHING, note: `${id} serves no port ${request.port}: ${numbers(ports)}` };
  let ignored: Explanation['ignored'] = [];
  if (port !== undefined) {
    const alone: Host = {
      nodeId: id,
      nodeCluster: id,
      ...host,
      workloads: [],
      upstreams: [],
      callerIdentity: role.identity,
      ...(role.identity === undefined && { withoutCertificates: true }),
      gateways: [role],
      healthListener: { address: '127.0.0.1', port: 15_021 },
    };
    const arrived: Arrived = {
      mesh,
      view,
      role,
      port,
      request,
      resources: new Translator().translate(mesh, alone),
    };
    answer = answerAt(arrived);
    ignored = ignoredAtServers(arrived, port.servers, answer.virtualService);
  }
  const first = largest(answer.destinations);
  const isRequest = isHttp && answer.protocol !== 'tcp';
  return {
    request: {
      from: `${role.name}.${role.namespace}`,
      callerKnown: true,
      kind: isRequest ? 'http' : request.kind,
      host: request.host,
      port: request.port,
      method: isRequest ? request.method : undefined,
      path: isRequest ? request.path : undefined,
      sni: request.sni,
      gateway: id,
    },
    service: first === undefined ? undefined : mesh.services.get(first.destination)?.host,
    ...answer,
    destination: first?.destination,
    subset: first?.subset,
    weight: first?.weight,
    cluster: first?.cluster,
    policy: first?.policy,
    ignored,
    envoyFilters: patchingFilters(mesh, calling),
  };
}
