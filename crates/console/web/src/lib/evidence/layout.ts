/** Where the nodes and links of a chain lie in its picture: across, or downwards where it is narrow. Pure. */
import { STAGES, type Chain, type Link, type Node, type Stage } from "./chain";

export interface Box<T> {
  item: T;
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Line {
  link: Link;
  path: string;
  /** Where its mark lies. */
  x: number;
  y: number;
}

export interface Layout {
  across: boolean;
  width: number;
  height: number;
  nodes: Box<Node>[];
  /** Stages that nothing has reached yet. */
  open: Box<Stage>[];
  heads: { stage: Stage; x: number; y: number }[];
  lines: Line[];
}

const HEIGHT = 62;
const GAP = 16;
/** Between rows that a mark lies between. */
const DOWN = 28;
/** Between the marks of links that lead to one node. */
const MARK = 26;
const HEAD = 26;
/** Below this width, eight columns have no room for words. */
const ACROSS_FROM = 820;
const SIDE = 84;
/** Room for the stroke of what lies at the edge. */
const EDGE = 2;

/** The picture of a chain in so many pixels. */
export function layoutOf(chain: Chain, width: number): Layout {
  const rows = STAGES.map((stage) => ({ stage, nodes: chain.nodes.filter((node) => node.stage === stage) }));
  const across = width >= ACROSS_FROM;
  const most = Math.max(1, ...rows.map(({ nodes }) => nodes.length));
  const height = across ? HEAD + most * (HEIGHT + GAP) : rows.reduce((sum, { nodes }) => sum + down(nodes.length, width) * (HEIGHT + DOWN), GAP);
  const nodes: Box<Node>[] = [];
  const open: Box<Stage>[] = [];
  const heads: Layout["heads"] = [];
  const pitch = width / STAGES.length;
  const w = pitch - DOWN;
  let y = GAP / 2;
  rows.forEach(({ stage, nodes: mine }, column) => {
    if (across) {
      const x = column * pitch + DOWN / 2;
      const top = HEAD + ((most - Math.max(1, mine.length)) * (HEIGHT + GAP)) / 2;
      heads.push({ stage, x: x + w / 2, y: 14 });
      if (mine.length === 0) open.push({ item: stage, x, y: top, w, h: HEIGHT });
      mine.forEach((item, i) => nodes.push({ item, x, y: top + i * (HEIGHT + GAP), w, h: HEIGHT }));
      return;
    }
    const abreast = Math.min(Math.max(1, mine.length), fit(width));
    const room = (width - EDGE - SIDE - GAP * (abreast - 1)) / abreast;
    heads.push({ stage, x: 0, y: y + HEIGHT / 2 });
    if (mine.length === 0) open.push({ item: stage, x: SIDE, y, w: room, h: HEIGHT });
    mine.forEach((item, i) => {
      const [row, place] = [Math.floor(i / abreast), i % abreast];
      nodes.push({ item, x: SIDE + place * (room + GAP), y: y + row * (HEIGHT + DOWN), w: room, h: HEIGHT });
    });
    y += down(mine.length, width) * (HEIGHT + DOWN);
  });
  return { across, width, height, nodes, open, heads, lines: chain.links.flatMap((link) => lineOf(link, chain.links, nodes, across)) };
}

/** How many nodes lie beside each other where the picture goes downwards. */
function fit(width: number): number {
  return Math.max(1, Math.floor((width - EDGE - SIDE + GAP) / (100 + GAP)));
}

function down(count: number, width: number): number {
  return Math.ceil(Math.max(1, count) / fit(width));
}

/** The mark of a link lies before what it leads to, so that links which cross keep marks of their own. */
function lineOf(link: Link, links: readonly Link[], nodes: readonly Box<Node>[], across: boolean): Line[] {
  const from = nodes.find((box) => box.item.id === link.from);
  const to = nodes.find((box) => box.item.id === link.to);
  if (from === undefined || to === undefined) return [];
  const beside = links.filter((one) => one.to === link.to);
  const place = beside.indexOf(link) - (beside.length - 1) / 2;
  const step = Math.min(MARK, (across ? to.h : to.w) / beside.length);
  if (across) {
    const [ax, ay, x, y] = [from.x + from.w, from.y + from.h / 2, to.x - 13, to.y + to.h / 2 + place * step];
    const middle = (ax + x) / 2;
    return [{ link, path: `M${ax} ${ay}C${middle} ${ay} ${middle} ${y} ${x} ${y}L${to.x} ${y}`, x, y }];
  }
  const [ax, ay, x, y] = [from.x + from.w / 2, from.y + from.h, to.x + to.w / 2 + place * step, to.y - 13];
  const middle = (ay + y) / 2;
  return [{ link, path: `M${ax} ${ay}C${ax} ${middle} ${x} ${middle} ${x} ${y}L${x} ${to.y}`, x, y }];
}
