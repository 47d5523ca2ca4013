/** The mesh's configuration of the bookshop, as the YAML that a user would write. */

/** meshconfig.yaml: what holds for all machines. */
export const MESH_CONFIG = `trustDomain: bookshop.example
connectTimeout: 1s
`;

export const TRUST_DOMAIN = 'bookshop.example';

/** Of all machines. */
export const LOCALITY = 'demo/rack-1';

/** The namespace in which a resource holds for the whole mesh. */
const ROOT_NAMESPACE = 'istio-system';

/** What clients may expect of each service, whatever the catalogue says of its instances. */
export function serviceRecords(): string {
  return ['productpage', 'details', 'reviews', 'ratings']
    .map(
      (name) => `apiVersion: trysail.dev/v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec:
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  serviceAccounts: [${name}]
  tls: required
`,
    )
    .join('---\n');
}

const RETRIES =
  '{ attempts: 3, perTryTimeout: 1s, retryOn: "connect-failure,refused-stream,reset,503", retryRemoteLocalities: true }';

const TRAFFIC_POLICY = `trafficPolicy:
    loadBalancer: { simple: ROUND_ROBIN }
    connectionPool:
      tcp: { connectTimeout: 250ms }`;

const OUTLIER_DETECTION = `
    outlierDetection:
      consecutive5xxErrors: 3
      interval: 1s
      baseEjectionTime: 2s
      maxEjectionPercent: 50
      alwaysEjectOneHost: true
      minHealthPercent: 50`;

/** Retries and outlier detection for the services that have no routing rules of their own. */
export function resilienceRules(): string {
  return ['details', 'ratings']
    .map(
      (name) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: default }
spec:
  hosts: [${name}]
  http:
    - route: [{ destination: { host: ${name} } }]
      retries: ${RETRIES}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: default }
spec:
  host: ${name}
  ${TRAFFIC_POLICY}${OUTLIER_DETECTION}
`,
    )
    .join('---\n');
}

/**
 * Routing of reviews: jason sees v2, everybody else v1 and v3 by weight, which total 100. Each version has one instance,
 * so nothing is gained by ejecting it.
 */
export function reviewsRouting(weights: { readonly v1: number; readonly v3: number }): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec:
  hosts: [reviews]
  http:
    - name: jason
      match: [{ headers: { end-user: { exact: jason } } }]
      route: [{ destination: { host: reviews, subset: v2 } }]
      retries: ${RETRIES}
    - name: canary
      route:
        - { destination: { host: reviews, subset: v1 }, weight: ${weights.v1} }
        - { destination: { host: reviews, subset: v3 }, weight: ${weights.v3} }
      retries: ${RETRIES}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: default }
spec:
  host: reviews
  ${TRAFFIC_POLICY}
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
    - { name: v3, labels: { version: v3 } }
`;
}

/** Requests of one user to ratings fail before they are sent; all others are as `resilienceRules` has them. */
export function ratingsFault(user: string): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: default }
spec:
  hosts: [ratings]
  http:
    - name: broken
      match: [{ headers: { end-user: { exact: ${user} } } }]
      fault: { abort: { httpStatus: 503, percentage: { value: 100 } } }
      route: [{ destination: { host: ratings } }]
    - name: whole
      route: [{ destination: { host: ratings } }]
      retries: ${RETRIES}
`;
}

/** So many requests a minute of each user who says who it is, over all instances of details together. */
export function detailsLimit(requests: number): string {
  return `apiVersion: trysail.dev/v1
kind: RateLimit
metadata: { name: details, namespace: default }
spec:
  host: details
  limits:
    - name: users
      match: [{ headers: { end-user: {} } }]
      by: [{ header: end-user }]
      requests: ${requests}
      per: 1m
      scope: fleet
`;
}

/** Plain text is refused everywhere in the mesh. */
export function strictEverywhere(): string {
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: ${ROOT_NAMESPACE} }
spec:
  mtls: { mode: STRICT }
`;
}

/** The identity of a service of the bookshop. */
export function identityOf(service: string): string {
  return `spiffe://${TRUST_DOMAIN}/ns/default/sa/${service}`;
}
