/** The local API's call of capture, answered by the keeper. */
import type { CaptureReport, CaptureRequest } from '../api/capture.ts';
import { TrysailError } from '../lib/errors.ts';
import type { CaptureKeeper } from './capture-keeper.ts';

/** @throws TrysailError `AGENT_STARTING` while there is no keeper yet, and what the keeper refuses */
export async function captureCall(
  keeper: CaptureKeeper | undefined,
  { action, confirmed }: CaptureRequest,
): Promise<CaptureReport> {
  if (keeper === undefined)
    throw new TrysailError('AGENT_STARTING', 'the agent is still starting', { remedy: 'Try again in a moment.' });
  switch (action) {
    case 'status':
      return keeper.report();
    case 'apply':
      return keeper.apply(confirmed);
    case 'confirm':
      return keeper.confirm();
    case 'clean':
      return keeper.clean();
  }
}
