/** Where commands find the agent. */
import { Option } from 'commander';

/** `--socket`, from `TRYSAIL_SOCKET` where that is set. */
export function socketOption(): Option {
  return new Option('--socket <path>', 'The socket of the agent.')
    .env('TRYSAIL_SOCKET')
    .default('/run/trysail/api.sock');
}
