/**
 * Fields of Istio's MeshConfig and of its `defaultConfig` that are known and have no effect, each with what to do instead.
 * https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
 */

const KUBERNETES = 'Remove it: it speaks of Kubernetes.';
const NO_CONTROL_PLANE = "Remove it: each host's agent is its control plane.";
const PROVIDERS = 'Remove it: telemetry and authorisation by providers are not supported yet.';

/** Name → remedy: why it has no effect and what has, in a sentence or two. */
export const MESH_CONFIG_WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  proxyListenPort: 'Remove it: agent.yaml says where captured calls arrive, "capture.ports".',
  proxyInboundListenPort: 'Remove it: agent.yaml says where captured connections arrive, "capture.ports".',
  proxyHttpPort: 'Remove it: agent.yaml has a listener for requests by their Host, "upstreams.proxy".',
  ingressClass: KUBERNETES,
  ingressService: KUBERNETES,
  ingressControllerMode: KUBERNETES,
  ingressSelector: KUBERNETES,
  enableTracing: 'Remove it: tracing is not supported yet.',
  enableEnvoyAccessLogService: PROVIDERS,
  inboundTrafficPolicy:
    'Remove it: Envoy takes connections to declared ports alone and sends them where "inbound.application" of the service in agent.yaml says; all other ports are not captured.',
  configSources: `${NO_CONTROL_PLANE} agent.yaml says where it reads, "resources".`,
  caCertificates:
    "Remove it: peers are verified by the roots of the mesh's CA, servers outside by those of their rule.",
  enablePrometheusMerge: 'Remove it: metrics of applications are not merged yet.',
  extensionProviders: PROVIDERS,
  defaultProviders: PROVIDERS,
  discoverySelectors: 'Remove it: a host takes in the services that it calls, and Sidecars narrow them.',
  hboneIdleTimeout: 'Remove it: the mesh speaks mutual TLS from proxy to proxy, not HBONE.',
  serviceSettings: KUBERNETES,
  serviceScopeConfigs: 'Remove it: it speaks of clusters of Kubernetes and their ambient mesh.',
  certificates: KUBERNETES,
  thriftConfig: 'Remove it: Thrift passes as TCP.',
  ca: 'Remove it: agent.yaml says who issues certificates, "identity".',
};

const AGENT_ENVOY = 'Remove it: "envoy" of agent.yaml says how Envoy is run.';
const OWN_BOOTSTRAP = "Remove it: the agent writes Envoy's bootstrap itself.";
const METRICS_LATER = 'Remove it: metrics by this way are not supported yet.';

/** The same of `defaultConfig`. */
export const DEFAULT_CONFIG_WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  configPath: AGENT_ENVOY,
  binaryPath: AGENT_ENVOY,
  serviceCluster: "Remove it: Envoy's cluster is the canonical service of its host.",
  tracingServiceName: 'Remove it: tracing is not supported yet.',
  drainDuration: 'Say "envoy.drainTime" in agent.yaml: how long a stop waits for open connections.',
  terminationDrainDuration: 'Say "envoy.drainTime" in agent.yaml: how long a stop waits for open connections.',
  parentShutdownDuration: 'Remove it: the agent ends the Envoy before when its connections are done.',
  discoveryAddress: NO_CONTROL_PLANE,
  discoveryRefreshDelay: NO_CONTROL_PLANE,
  controlPlaneAuthPolicy: NO_CONTROL_PLANE,
  zipkinAddress: 'Remove it: tracing is not supported yet.',
  tracing: 'Remove it: tracing is not supported yet.',
  statsdUdpAddress: METRICS_LATER,
  envoyMetricsServiceAddress: METRICS_LATER,
  envoyMetricsService: METRICS_LATER,
  envoyAccessLogService: PROVIDERS,
  proxyAdminPort: AGENT_ENVOY,
  availabilityZone: 'Remove it: agent.yaml says where the host is, "host.locality".',
  customConfigFile: OWN_BOOTSTRAP,
  proxyBootstrapTemplatePath: OWN_BOOTSTRAP,
  statNameLength: 'Remove it: Envoy has no such limit any more.',
  interceptionMode: 'Remove it: agent.yaml says how connections are captured, for each service.',
  sds: 'Remove it: certificates always come by SDS.',
  proxyMetadata: 'Remove it: these are settings of the agent of Istio; agent.yaml has those of this one.',
  runtimeValues: OWN_BOOTSTRAP,
  statusPort: 'Remove it: the agent answers at its own socket.',
  extraStatTags: METRICS_LATER,
  proxyStatsMatcher: 'Remove it: Envoy keeps all of its statistics here.',
  statsCompression: METRICS_LATER,
  meshId: 'Remove it: there is one mesh, that of the trust domain.',
  readinessProbe: 'Remove it: checks of services stand in agent.yaml and in WorkloadGroups.',
  holdApplicationUntilProxyStarts: 'Remove it: order the unit of the application after the one of Envoy.',
  caCertificatesPem: 'Remove it: the agent knows the roots of its CA by "identity" of agent.yaml.',
  image: KUBERNETES,
  environmentVariables: KUBERNETES,
  privateKeyProvider: 'Remove it: private keys are kept by the agent.',
  proxyHeaders: "Remove it: which headers Envoy adds is as with Istio's defaults.",
  fileFlushInterval: AGENT_ENVOY,
  fileFlushMinSizeKb: AGENT_ENVOY,
};
