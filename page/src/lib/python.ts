/** The Python that makes a view again. */

import { headNumber } from "./describe";
import { MEAN, type MapInfo, type Trace } from "./trace";

/** What ran the model, and the line that gives the weights of the head that is shown. */
export function pythonFor(trace: Trace, map: MapInfo, head: number, more = ""): string {
  const beside = trace.maps.filter((other) => other.layer === map.layer && other !== map);
  const kind = beside.some((other) => other.kind !== map.kind) ? `, kind="${map.kind}"` : "";
  const stream = beside.some((other) => other.kind === map.kind && other.query !== map.query) ? `, stream="${map.query}"` : "";
  const which = head === MEAN ? "" : `, head=${headNumber(map, head)}`;
  const about = head === MEAN ? "every head; the page shows their mean" : `${map.rows} x ${map.columns}`;
  return `${trace.code.trimEnd()}\nweights = seen.weights(${map.layer}${which}${kind}${stream})  # ${about}\n${more}`;
}
