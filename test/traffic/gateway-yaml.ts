/** Resources of tests with a gateway: what it leads to, what it listens for, and where requests go. */

/** A service outside of the mesh, `<name>.test`, at a port of this machine. */
export function outsideYaml(name: string, protocol: string, port: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: p, protocol: ${protocol}}]
  endpoints: [{address: 127.0.0.1, ports: {p: ${port}}}]
---`;
}

/** Gateway `gw` of the role `ingress`. @param servers items of a list, two spaces deep */
export function gatewayYaml(servers: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
${servers}
---`;
}

/** A server of plain HTTP for `gatewayYaml`. @param hosts such as `["*"]` */
export function httpServer(port: number, hosts: string): string {
  return `  - {port: {number: ${port}, name: http, protocol: HTTP}, hosts: ${hosts}}`;
}

/** What a VirtualService of `gw` says. @param routes of its `spec`, two spaces deep */
export function ruleYaml(name: string, hosts: string, routes: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: ${hosts}
  gateways: [gw]
${routes}
---`;
}

/** Routes for `ruleYaml`: all HTTP to one service. */
export function allTo(service: string): string {
  return `  http:\n  - route: [{destination: {host: ${service}}}]`;
}
