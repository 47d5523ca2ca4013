/** IST0101, TRY0412: a RateLimit is for a Gateway that there is not, or for requests that none of its servers takes. */

import { isAtGateway } from '../../model/rate-limit.ts';
import { diagnoseGatewayLimits } from '../../translate/rate-limit/gateway-limit-diagnostics.ts';
import { type AnalysisRule, finding } from '../analysis-rule.ts';

/** A host that serves this Gateway; whether it is registered, its agent.yaml says. */
function roleOf(labels: Readonly<Record<string, string>>): Parameters<typeof diagnoseGatewayLimits>[1] {
  const place = { address: '0.0.0.0', port: 0 };
  return {
    namespace: '',
    name: '',
    serviceHost: '',
    labels,
    identity: undefined,
    address: '0.0.0.0',
    registered: place,
  };
}

export const rateLimitGateway: AnalysisRule = {
  codes: ['IST0101', 'TRY0412'],
  check({ mesh }) {
    return mesh.rateLimits.filter(isAtGateway).flatMap((rateLimit) => {
      const { name } = rateLimit.gateway;
      const gateway = mesh.gateways.find(({ meta }) => `${meta.namespace}/${meta.name}` === name);
      if (gateway !== undefined)
        return diagnoseGatewayLimits({ ...mesh, rateLimits: [rateLimit] }, roleOf(gateway.selector));
      const remedy = 'Correct the name, or add the Gateway.';
      return [
        finding(
          'IST0101',
          'warning',
          rateLimit.meta,
          'spec.gateway',
          `there is no Gateway ${name}; nothing is limited`,
          remedy,
        ),
      ];
    });
  },
};
