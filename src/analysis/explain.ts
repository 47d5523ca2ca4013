/**
 * What becomes of one request: the caller's Envoy is translated as for a real host, and the request led through the
 * resources as Envoy would lead it. The rules that these came from are found by the functions that made them.
 */
import type { JsonObject } from '@bufbuild/protobuf';
import type { Explanation } from '../model/explanation.ts';
import type { Mesh } from '../model/mesh.ts';
import type { Service, ServicePort } from '../model/service.ts';
import { type HttpRoutesSpec, httpRoutes } from '../translate/http/http-routes.ts';
import { outboundCaptureName } from '../translate/outbound/outbound-capture.ts';
import { Translator } from '../translate/translator.ts';
import { LISTENER, ROUTE_CONFIG } from '../translate/type-urls.ts';
import { type Client, clientKey } from '../translate/view/calling.ts';
import { MeshView } from '../translate/view/mesh-view.ts';
import type { CalledRequest } from './called-request.ts';
import { chooseChain, lastFilter } from './chain-choice.ts';
import { type Consideration, consider, considerUnmapped, describeVirtualService } from './considered.ts';
import { considerConnection } from './considered-connections.ts';
import { CAPTURE_PORT, type Called, type Caller, callingHost } from './explain-host.ts';
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
import { ignoredVirtualServices } from './ignored-virtual-services.ts';
import { at, objectsAt, textAt } from './json-access.ts';
import { narrowedMesh } from './narrowed-mesh.ts';
import { chooseVirtualHost, routedPath, routeMisfit } from './route-matcher.ts';
import { unknownNameNote } from './unknown-name.ts';

interface Asked extends Called, Translated {
  readonly caller: Caller;
  readonly request: CalledRequest;
}

/** The routes that the service's VirtualService gives this caller. */
function specOf({ view, service, request }: Asked): HttpRoutesSpec | undefined {
  if (service === undefined) return undefined;
  const chosen = view.virtualService(service, request.port);
  return chosen === undefined ? undefined : view.routes(chosen, request.port, 'explained').spec;
}

function overHttp(asked: Asked, manager: JsonObject): Answer {
  const { request } = asked;
  const inline = at(manager, 'route_config');
  const config = inline ?? resourceOf(asked, ROUTE_CONFIG, textAt(manager, 'rds', 'route_config_name'));
  const virtualHost = chooseVirtualHost(config, request.headers.get(':authority') ?? '');
  const routes = objectsAt(virtualHost, 'routes');
  const path = routedPath(request.path, manager);
  const query = /\?[^#]*/.exec(request.path)?.[0] ?? '';
  const taken = routes.find((route) => routeMisfit(route, request, path) === undefined);
  const spec = specOf(asked);
  // An EnvoyFilter may have added or removed routes: then nobody can say which came from where.
  const isWhole = spec !== undefined && httpRoutes(spec).length === routes.length;
  const considered: Consideration =
    spec === undefined || !isWhole
      ? { considered: considerUnmapped(routes, request, path), taken: undefined }
      : consider(spec, routes, request, path);
  const answer: Answer = {
    ...NOTHING,
    protocol: 'http',
    virtualService: spec === undefined ? undefined : describeVirtualService(spec.virtualService),
    considered: considered.considered,
  };
  if (taken === undefined) return { ...answer, outcome: 'not-found', note: 'no route fits: Envoy answers 404' };
  return {
    ...answer,
    route: considered.taken?.name ?? (textAt(taken, 'name') || 'default'),
    source: considered.taken?.source,
    ...byRoute(asked, taken, request, `${path}${query}`),
  };
}

function answerOf(asked: Asked): Answer {
  const { request, address, service, view } = asked;
  const listener = resourceOf(asked, LISTENER, outboundCaptureName(CAPTURE_PORT));
  const chain =
    listener === undefined
      ? undefined
      : chooseChain(listener, {
          address,
          port: request.port,
          sni: request.sni,
          isTls: request.kind === 'tls',
          protocols: request.kind === 'http' ? ['http/1.1', 'h2c'] : [],
        });
  const filter = chain === undefined ? undefined : lastFilter(chain);
  const port = service?.ports.find(({ number }) => number === request.port);
  const note =
    service === undefined
      ? unknownNameNote(asked.mesh, request.host, asked.caller.namespace)
      : port === undefined
        ? `${service.host} has no port ${request.port}: it has ${service.ports.map(({ number }) => number).join(', ')}`
        : view.calls(service, request.port)
          ? undefined
          : `${service.host} is out of this caller's scope, by its exportTo or the caller's Sidecar`;
  if (filter === undefined) return { ...NOTHING, note: note ?? 'no filter chain takes such a connection' };
  if (filter.type === 'HttpConnectionManager') {
    if (request.kind === 'http') {
      const answer = overHttp(asked, filter.config);
      return { ...answer, note: note ?? answer.note };
    }
    return {
      ...NOTHING,
      protocol: 'http',
      note: note ?? `port ${request.port} speaks HTTP, and this is no HTTP request`,
    };
  }
  const opaque = request.kind === 'http' && service !== undefined && port !== undefined;
  const leads = led(asked, filter.config);
  const taker = service === undefined ? leads.destinations[0]?.destination : undefined;
  const answer: Answer = {
    ...NOTHING,
    protocol: 'tcp',
    ...leads,
    note:
      (taker === undefined
        ? note
        : `${note ?? ''}; ${taker} takes connections to port ${request.port}, wherever they go`) ??
      (opaque ? `port ${request.port} is ${port.protocol}: rules for HTTP have no effect there` : undefined),
  };
  return service === undefined || port === undefined
    ? answer
    : { ...answer, ...overBytes(asked, service, port, answer) };
}

/** The TLS or TCP route that leads a connection where it goes. */
function overBytes(
  asked: Asked,
  service: Service,
  port: ServicePort,
  { destinations: reached }: Answer,
): Partial<Answer> {
  const { mesh, view, address, request } = asked;
  const clusters = reached.map(({ cluster }) => cluster);
  const found = considerConnection(mesh, view, service, port, { address, sni: request.sni }, clusters);
  if (found === undefined) return {};
  const { virtualService, considered } = found;
  const taken = considered.find(({ result }) => result === 'taken');
  return { virtualService, considered, route: taken?.route, source: taken?.source };
}

/** Pure. */
export function explain(mesh: Mesh, caller: Caller, request: CalledRequest): Explanation {
  const called = callingHost(mesh, caller, request);
  const client: Client = { namespace: caller.namespace, workload: caller.name, labels: caller.labels };
  const view = new MeshView(client, clientKey(client, true));
  view.look(mesh, undefined);
  // What goes to no address of a service may be led to any of them, by the name that it asks for.
  const isNamed = called.service !== undefined && (called.host.namedUpstreams ?? []).length > 0;
  const met = isNamed && called.service !== undefined ? narrowedMesh(mesh, called.service) : mesh;
  const asked: Asked = {
    ...called,
    caller,
    mesh,
    request,
    view,
    resources: new Translator().translate(met, called.host),
  };
  const answer = answerOf(asked);
  const first = largest(answer.destinations);
  const isHttp = request.kind === 'http';
  return {
    request: {
      from: `${caller.name}.${caller.namespace}`,
      callerKnown: true,
      kind: request.kind,
      host: request.host,
      port: request.port,
      method: isHttp ? request.method : undefined,
      path: isHttp ? request.path : undefined,
      sni: request.sni,
    },
    service: called.service?.host,
    ...answer,
    destination: first?.destination,
    subset: first?.subset,
    weight: first?.weight,
    cluster: first?.cluster,
    policy: first?.policy,
    envoyFilters: patchingFilters(mesh, client),
    ignored:
      called.service === undefined ? [] : ignoredVirtualServices(mesh, called.service, client, answer.virtualService),
  };
}
