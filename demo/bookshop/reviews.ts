/** Bookshop: what readers say. v1 shows no stars, v2 black and v3 red ones, which come from ratings. */
import { callService } from './call.ts';
import { answererOf, productIdOf, readOptions, sendJson, serve } from './service.ts';

const options = readOptions();
const COLOURS: Readonly<Record<string, string>> = { v2: 'black', v3: 'red' };
const colour = COLOURS[options.version];

const REVIEWS = [
  { reviewer: 'Ada', text: 'One man, one boat, and a tin clock without its minute hand. I read it in a night.' },
  { reviewer: 'Björn', text: 'Dry humour in wet places. The carpet tacks on the deck alone are worth the price.' },
];

serve(options, async (incoming, response) => {
  const id = productIdOf(incoming, 'reviews');
  if (id === undefined) return sendJson(response, 404, { error: `reviews knows no ${incoming.url}` });
  const base = { ...answererOf(options, incoming), id, reviews: REVIEWS };
  if (colour === undefined) return sendJson(response, 200, base);
  try {
    const ratings = await callService('ratings', options.upstreams.get('ratings'), `/ratings/${id}`, incoming.headers);
    sendJson(response, 200, { ...base, colour, ratings });
  } catch (error) {
    sendJson(response, 502, { error: (error as Error).message });
  }
});
