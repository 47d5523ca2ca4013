/** Ports on a VM: Istio's numbers, where a user of Istio looks for them. */
export const PORTS = {
  outboundCapture: 15001,
  /** Of the second caller whose calls are captured; further ones follow. */
  laterOutboundCapture: 15101,
  inboundCapture: 15006,
  certificateAuthority: 15012,
  agentStatus: 15020,
  health: 15021,
  dns: 15053,
  envoyPrometheus: 15090,
} as const;
