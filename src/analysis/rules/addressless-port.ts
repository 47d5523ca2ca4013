/** IST0134: a port of an outside service that carries bytes takes all captured connections to its number, for want of addresses. */
import { type AnalysisRule, finding } from '../analysis-rule.ts';

export const addresslessPort: AnalysisRule = {
  codes: ['IST0134'],
  check({ serviceEntries }) {
    return serviceEntries.flatMap(({ meta, hosts, ports, addresses, external }) => {
      const [host] = hosts;
      // Of several hosts the reading says that they cannot be told apart.
      if (!external || addresses.length > 0 || hosts.length !== 1 || host === undefined) return [];
      return ports.flatMap(({ number, protocol }, i) => {
        if (protocol !== 'TCP' && protocol !== 'AUTO') return [];
        const bytes = protocol === 'TCP' ? 'connections' : 'connections that are no HTTP';
        const message = `where calls are captured, all ${bytes} to port ${number} are taken for calls of ${host}, wherever they go: there are no addresses to tell them apart by`;
        const remedy =
          protocol === 'TCP'
            ? 'Write the "addresses" of the service.'
            : 'Write the "protocol" of the port, or the "addresses" of the service.';
        return [finding('IST0134', 'warning', meta, `spec.ports[${i}]`, message, remedy)];
      });
    });
  },
};
