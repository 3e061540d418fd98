// What in a picture is plugged into what: by `data-ends`, a tag names its box, a cable its tags.

export class Plan {
  constructor(nodes) {
    this.nodes = nodes.filter((node) => node.id && !/^(key|path|hop)-/.test(node.id));
    this.ends = new Map(this.nodes.map((node) => [node.id, ends(node)]));
    const boxes = this.nodes.filter((node) => this.kind(node) === 0);
    const tags = (box) => this.nodes.filter((it) => this.kind(it) === 1 && this.isIn(it, box));
    const cables = this.nodes.filter((node) => this.kind(node) === 2);
    // In the order in which one reads: each box, what is plugged into it, then the cables.
    this.items = [...boxes.flatMap((box) => [box, ...tags(box)]), ...cables];
  }

  // 0: a box; 1: a tag, which has a box; 2: a cable, which has two tags.
  kind(node) {
    return this.ends.get(node.id).length;
  }

  isIn(tag, box) {
    return this.ends.get(tag.id)[0] === box.id;
  }

  // Return the ids of a thing and of what it is joined with, to the far ends of its cables; and of
  // the boxes around it.
  around(node) {
    const found = new Set([node.id]);
    const everyEnd = () =>
      [...found].forEach((id) => this.ends.get(id)?.forEach((it) => found.add(it)));
    const add = (kind) => {
      for (const each of this.items) {
        const all = this.ends.get(each.id);
        if (all.length === kind && all.some((end) => found.has(end))) found.add(each.id);
      }
    };
    if (this.kind(node) === 0) {
      for (const each of this.items) if (within(each, node)) found.add(each.id);
      add(1);
    }
    if (this.kind(node) < 2) add(2);
    everyEnd(); // The tags of a cable,
    everyEnd(); // and the boxes of the tags.
    for (const each of this.items)
      if (this.kind(each) === 0 && within(node, each)) found.add(each.id);
    return found;
  }
}

function ends(node) {
  return (node.dataset.ends ?? "").split(" ").filter(Boolean);
}

function within(inner, outer) {
  const [a, b] = [inner.getBBox(), outer.getBBox()];
  const across = a.x >= b.x && a.x + a.width <= b.x + b.width;
  return across && a.y >= b.y && a.y + a.height <= b.y + b.height;
}
