/**
 * Every diagnostic code that Trysail can emit, with its meaning in one sentence. docs/diagnostics.md is held against
 * this list by a test. `IST` codes are Istio's own, with Istio's meaning.
 */
export const DIAGNOSTIC_CODES: Readonly<Record<string, string>> = {
  IST0002: 'A deprecated field or value; it still works.',
  IST0101: 'A resource refers to something that does not exist: a host, a subset, a port.',
  IST0106: 'A resource does not follow its schema.',
  IST0109: 'Two VirtualServices of the mesh claim one host; the older one holds.',
  TRY0001: 'A file is not valid YAML; the last good version of its resources stays in force.',
  TRY0002: 'A document is of a kind that Trysail does not know.',
  TRY0003: 'A field or kind of the Istio API is known and not supported; the resource is not applied.',
  TRY0004: 'Two resources have the same kind, namespace and name; the first holds.',
  TRY0005: 'A field is known and has no effect here; the rest of the resource is applied.',
  TRY0006: 'A directory or file of resources cannot be read; what was read before stays in force.',
  TRY0101: 'Envoy refused a resource; the last good version of it stays in force.',
  TRY0601: 'The host asks for more Consul services than it may follow; some are not followed.',
  TRY0602: 'An empty answer of Consul is not believed, as the sentinel service is invisible; endpoints are kept.',
  TRY0603: 'Most instances turned critical at once by Consul’s node check; their last endpoints are kept for a time.',
  TRY0604: 'Consul cannot be read; the last known endpoints are kept.',
  TRY0605: 'A catalogue entry is not usable, in part or as a whole, and left out.',
  TRY0301: 'Instances of one service disagree on its port or protocol.',
  TRY0302: 'Two sources claim one host name; only one of them holds.',
  TRY0303: 'Endpoints are left out, because they do not offer the mutual TLS that their service requires.',
  TRY0304: 'An endpoint is left out, because its registration cannot be used.',
  TRY0305: 'A service has no usable identity, so that nobody can be let serve it.',
  TRY0900: 'agent.yaml is missing, unreadable or not one YAML document.',
  TRY0801: 'A workload has no valid certificate, or it is past its renewal and cannot be renewed.',
  TRY0802: 'A certificate cannot be saved in the state folder; it is kept in memory alone.',
  TRY0803: "A certificate begins in the future by this host's clock.",
  TRY0901:
    'A setting of agent.yaml, a flag or an environment variable is unknown or does not have the form that it needs.',
  TRY0902: 'Settings contradict each other: listeners at one address, checks, identities, Consul addresses.',
  TRY0903: 'A file that a setting names is missing, cannot be read, or is a secret that others could read.',
  TRY0904: 'A secret stands in agent.yaml itself instead of in a file of its own.',
  TRY0905: 'An environment variable begins with TRYSAIL_ and is no setting; it has no effect.',
  TRY0906: 'The ACL token of Consul travels over the network in plain text.',
};
