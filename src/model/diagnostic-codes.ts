/**
 * Every diagnostic code that Trysail can emit, with its meaning in one sentence. docs/diagnostics.md is held against
 * this list by a test. `IST` codes are Istio's own, with Istio's meaning.
 */
export const DIAGNOSTIC_CODES: Readonly<Record<string, string>> = {
  IST0101: 'A resource refers to something that does not exist: a host, a subset, a port.',
  IST0106: 'A resource does not follow its schema.',
  IST0109: 'Two VirtualServices of the mesh claim one host; the older one holds.',
  TRY0001: 'A file is not valid YAML; the last good version of its resources stays in force.',
  TRY0002: 'A document is of a kind that Trysail does not know.',
  TRY0003: 'A field or kind of the Istio API is known and not supported; the resource is not applied.',
  TRY0004: 'Two resources have the same kind, namespace and name; the first holds.',
  TRY0101: 'Envoy refused a resource; the last good version of it stays in force.',
  TRY0200: 'agent.yaml is missing, unreadable or not one YAML document.',
  TRY0201:
    'A setting of agent.yaml, a flag or an environment variable is unknown or does not have the form that it needs.',
  TRY0202: 'Settings contradict each other: listeners at one address, checks, identities, Consul addresses.',
  TRY0203: 'A file that a setting names is missing, cannot be read, or is a secret that others could read.',
  TRY0204: 'A secret stands in agent.yaml itself instead of in a file of its own.',
  TRY0205: 'An environment variable begins with TRYSAIL_ and is no setting; it has no effect.',
  TRY0206: 'The ACL token of Consul travels over the network in plain text.',
};
