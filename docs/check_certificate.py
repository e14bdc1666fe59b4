r"""Check a certificate that splineviz wrote: `python check_certificate.py p.cert`. Needs numpy, nothing else.

A certificate is an .npz file of plain arrays: a network, a plane, and the partition of a window of it (docs/formats.md).
Checked against the network are, in float64 with a running error bound (Higham, Accuracy and Stability, 3.3):
    cover      faces are convex, counter-clockwise, fit edge to edge (V - E + F = 1), and their areas sum to the window's
    patterns   no unit has both signs at a face's corners; the pattern inside is the one listed, and no other face's
    adjacency  an edge's unit is 0 at both ends, and differs on its two sides
    outputs    at every corner, and inside every face the mean of its corners'
    boundary   the listed segments are where the largest output changes, all of it
"""

import sys
from itertools import combinations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EPS, SLACK, NEAR = 2.0**-52, 64.0, 1e-9  # rounding; error bounds that a stored number may miss by; lengths, of the window's


def affine(net, i, x, error):
    """One affine step of values x (n, ...), and a bound of what it makes of their errors and of its own rounding."""
    op, w, b = net["net.ops"][i], net[f"net.{i}.weight"], net[f"net.{i}.bias"]

    def product(a, w):
        return conv(a, w, *(net[f"net.{i}.how"].tolist())) if op == "conv" else a @ w.T if op == "linear" else a * w

    summed = 3 if op == "scale" else w[0].size + 2
    return product(x, w) + b, product(error, abs(w)) + summed * EPS * (product(abs(x), abs(w)) + abs(b))


def conv(x, w, down, right, *rest):
    (pad_y, pad_x, gap_y, gap_x), groups = rest[:4], rest[4]
    x = np.pad(x, [(0, 0), (0, 0), (pad_y, pad_y), (pad_x, pad_x)])
    span = gap_y * (w.shape[2] - 1) + 1, gap_x * (w.shape[3] - 1) + 1
    seen = sliding_window_view(x, span, axis=(2, 3))[:, :, ::down, ::right, ::gap_y, ::gap_x]
    parts = zip(np.split(seen, groups, axis=1), np.split(w, groups, axis=0), strict=True)
    return np.concatenate([np.einsum("nchwkl,ockl->nohw", s, v, optimize=True) for s, v in parts], axis=1)


def run(net, x, error):
    """Units' inputs less their breakpoints (n, units), outputs (n, C), each with its error bound."""
    reg, units = {0: (x, error)}, []
    for i, op in enumerate(net["net.ops"]):
        read = [reg[int(r)] for r in net[f"net.{i}.inputs"]]
        (x, e), out = read[0], int(net[f"net.{i}.output"])
        if op == "kink":
            at, low, high, shift = net[f"net.{i}.kink"]  # high z + shift above the breakpoint, low z + its like below
            z, grow = x - at, max(abs(low), abs(high))
            units.append((z.reshape(len(z), -1), (e + EPS * abs(z)).reshape(len(z), -1)))
            x, e = np.where(z > 0, high * z, low * z) + shift, grow * (e + 4 * EPS * abs(z)) + EPS * abs(shift)
        elif op == "reshape":
            x, e = (a.reshape(len(x), *net[f"net.{i}.shape"].tolist()) for a in (x, e))
        elif op == "add":
            alpha, (y, f) = float(net[f"net.{i}.alpha"]), read[1]
            x, e = x + alpha * y, e + abs(alpha) * f + 2 * EPS * (abs(x) + abs(alpha * y))
        else:
            x, e = affine(net, i, x, e)
        reg[out] = x, e
    y, f = (a.reshape(len(x), -1) for a in reg[int(net["net.result"])])
    return *(np.concatenate([y[:, :0], *(u[k] for u in units)], axis=1) for k in (0, 1)), y, f


def ask(net, uv, chunk=256):
    """`run` at points (n, 2) relative to the centre."""
    basis, origin, centre, found = net["basis"].reshape(2, -1), net["origin"].reshape(-1), net["centre"], []
    size = abs(origin) + (abs(centre) + abs(net["window"] - centre).max(axis=0)) @ abs(basis)
    for at in range(0, len(uv), chunk):
        x = (uv[at : at + chunk] @ basis + (origin + centre @ basis)).reshape(-1, *net["origin"].shape)
        found.append(run(net, x, np.broadcast_to(8 * EPS * size.reshape(1, *x.shape[1:]), x.shape)))
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def creases(p, y, slack):
    """Least and largest length of the creases of the upper envelope of affine outputs y (n, C) on a polygon p (n, 2)."""
    over = [k for k in range(y.shape[1]) if not (y - y[:, [k]] > slack).all(axis=0).any()]
    q, w, total = np.roll(p, -1, axis=0), np.roll(y, -1, axis=0), np.zeros(2)
    for i, j in combinations(over, 2):
        g, h = y[:, i] - y[:, j], w[:, i] - w[:, j]
        c = np.flatnonzero((abs(g) <= slack) | (g * h < 0))
        t = np.where(abs(g[c]) <= slack, 0.0, g[c] / np.where(g[c] == h[c], 1.0, g[c] - h[c]))[:, None]
        ends, values = (1 - t) * p[c] + t * q[c], (1 - t) * y[c] + t * w[c]
        total[1] = np.inf if (abs(g) <= slack).all() else total[1]  # a tie all over: any number of segments
        if len(c) < 2:
            continue
        a = np.hypot(*(ends - ends[0]).T).argmax()
        b = np.hypot(*(ends - ends[a]).T).argmax()
        rest, sure = [k for k in over if k not in (i, j)], g.max() > slack < -g.min() and not g[abs(g) <= slack].any()
        for n, sign in enumerate((-1, 1)):
            here, there = (values[k, i] - values[k, rest] + sign * slack for k in (a, b))  # the lead over every third class
            at = here / np.where(here == there, 1.0, here - there)
            low, high = at[(here < 0) & (there >= 0)].max(initial=0.0), at[(here >= 0) & (there < 0)].min(initial=1.0)
            if (n or sure) and not ((here < 0) & (there < 0)).any():
                total[n] += np.hypot(*(ends[b] - ends[a])) * max(high - low, 0.0)
    return total


def cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def check(net):
    """Yields one line for each finding."""
    uv, edges, tag, sides, ids = (net[k] for k in ("local_vertices", "edges", "edge_tag", "edge_faces", "face_vertices"))
    offsets, listed, window = net["face_offsets"].astype(int), net["pattern_hash"], net["window"] - net["centre"]
    V, E, F = len(uv), len(edges), len(offsets) - 1
    fit = [offsets[0] == 0, offsets[-1] == len(ids), (np.diff(offsets) >= 3).all(), len(listed) == F, tag.shape == (E,)]
    fit += [np.isfinite(net[k]).all() for k in ("window", "centre", "vertices", "local_vertices", "outputs")]
    fit += [a.min() >= low and a.max() < n for a, low, n in ((ids, 0, V), (edges, 0, V), (sides, -1, F))]
    if not all([*fit, len(net["outputs"]) == len(net["vertices"]) == V, sides.shape == edges.shape == (E, 2)]):
        return (yield "cover: ids out of range")
    after, before = np.arange(1, len(ids) + 1), np.arange(len(ids)) - 1
    after[offsets[1:] - 1], before[offsets[:-1]] = offsets[:-1], offsets[1:] - 1
    pairs = {(int(a), int(b)): (e, k) for e, ab in enumerate(edges) for k, (a, b) in enumerate((ab, ab[::-1]))}
    edge = [pairs.get(ab, (-1, 0)) for ab in zip(ids.tolist(), ids[after].tolist(), strict=True)]
    claimed = {(int(e), k): int(sides[e, k]) for e in range(E) for k in (0, 1) if sides[e, k] >= 0}
    named = {side: int(f) for side, f in zip(edge, np.repeat(np.arange(F), np.diff(offsets)), strict=True)}
    if named != claimed or len(edge) != len(claimed) or len(pairs) != 2 * E:
        return (yield "adjacency: faces and edges do not name each other")
    if V - E + F != 1 or len(np.unique(ids)) != V or ((sides < 0).any(axis=1) != (tag < 0)).any():
        yield "cover: V - E + F is not 1, a vertex is in no face, or a border edge lies inside"
    if (abs(net["vertices"] - uv - net["centre"]) > 8 * EPS * (abs(uv) + abs(net["centre"]))).any():
        yield "cover: vertices are not centre + local_vertices"
    width, first = np.hypot(*np.ptp(window, axis=0)), np.repeat(uv[ids[offsets[:-1]]], np.diff(offsets), axis=0)
    whole = cross(window - window[0], np.roll(window, -1, axis=0) - window[0]).sum()
    areas = np.add.reduceat(cross(uv[ids] - first, uv[ids[after]] - first), offsets[:-1])
    ahead, back = uv[ids[after]] - uv[ids], uv[ids[before]] - uv[ids]
    if not (abs(areas.sum() - whole) <= NEAR * whole and (areas > -NEAR * whole).all()):
        yield "cover: the areas do not sum to the window's"
    if (cross(ahead, back) < -NEAR * width * np.hypot(*(ahead - back).T)).any():
        yield "cover: a face is not convex"
    run_, ends = np.roll(window, -1, axis=0) - window, uv[edges[tag < 0]]
    off = abs(cross(run_, ends[:, :, None] - window)) / np.hypot(*run_.T)
    if (off.max(axis=1).min(axis=1) > NEAR * width).any() or (cross(run_, uv[:, None] - window) < -NEAR * width**2).any():
        yield "cover: a border edge lies off the window's border, or a vertex outside"
    means = np.add.reduceat(uv[ids] - first, offsets[:-1]) / np.diff(offsets)[:, None] + first[offsets[:-1]]
    (z, ez, y, ey), (zi, ezi, yi, eyi) = ask(net, uv), ask(net, means)
    # A pattern's hash is the XOR of splitmix64(unit + 1) over the units that are on.
    word, inside = np.arange(1, z.shape[1] + 1, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15), {}
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
    for f in range(F):
        loop = ids[offsets[f] : offsets[f + 1]]
        if (np.minimum(z[loop].max(axis=0), -z[loop].min(axis=0)) > SLACK * ez[loop].max(axis=0)).any():
            yield f"patterns: face {f}: a unit has both signs at its corners"
        gap = np.bitwise_xor.reduce(word[zi[f] > 0], initial=np.uint64(0)) ^ listed[f]
        ways = {0}  # what the units whose sign rounding hides may add to the hash
        for u in np.flatnonzero(abs(zi[f]) <= SLACK * ezi[f])[:12] if gap else ():
            ways |= {way ^ int(word[u]) for way in ways}
        if int(gap) not in ways:
            yield f"patterns: face {f}: inside it the network has another pattern"
        if inside.setdefault(int(listed[f]), f) != f:
            yield f"patterns: face {f}: has the pattern of face {inside[int(listed[f])]}"
        if (abs(net["outputs"][loop].mean(axis=0) - yi[f]) > SLACK * (eyi[f] + ey[loop].max(axis=0))).any():
            yield f"outputs: face {f}: inside it the network has other outputs"
    for v in np.flatnonzero((abs(net["outputs"] - y) > SLACK * ey).any(axis=1)):
        yield f"outputs: vertex {v}: the network has other outputs"
    for e in np.flatnonzero(tag >= 0):
        both, u = sides[e], tag[e]
        if u >= z.shape[1] or (abs(z[edges[e], u]) > SLACK * ez[edges[e], u]).any():
            yield f"adjacency: edge {e}: its unit is not 0 at its ends"
        elif zi[both, u].prod() > 0 and (abs(zi[both, u]) > SLACK * ezi[both, u]).all():
            yield f"adjacency: edge {e}: its unit is the same on both sides"
    yield from boundary(net, y, ey, ids, offsets, width)


def boundary(net, y, ey, ids, offsets, width):
    """Yields what is wrong with the decision boundary; one output counts as two, 0 and itself."""
    p, face, classes = net["boundary.segments"], net["boundary.faces"], net["boundary.classes"]
    if y.shape[1] == 1:
        y, ey, classes = np.pad(y, ((0, 0), (1, 0))), np.pad(ey, ((0, 0), (1, 0))), np.tile([0, 1], (len(p), 1))
    slack, lengths, rows = 2 * SLACK * ey.max(), np.hypot(*(p[:, 1] - p[:, 0]).T), np.arange(len(p))[:, None]
    for end in (0, 1) if len(p) else ():
        at, error = ask(net, p[:, end])[2:]
        at = np.pad(at, ((0, 0), (int(at.shape[1] == 1), 0)))
        behind = at.max(axis=1)[:, None] - at[rows, classes]
        for s in np.flatnonzero((behind > 2 * SLACK * error.max()).any(axis=1)):
            yield f"boundary: segment {s}: its classes are not the largest at an end"
    for f in range(len(offsets) - 1):
        loop, mine = ids[offsets[f] : offsets[f + 1]], np.flatnonzero(face == f)
        if len(mine) == 0 and len(set(y[loop].argmax(axis=1).tolist())) == 1:
            continue
        corner, found = net["local_vertices"][loop], lengths[mine].sum()
        low, high = creases(corner, y[loop], slack)
        if not low - 1e-7 * width <= found <= high + 1e-7 * width:
            yield f"boundary: face {f}: expected segments of length {low:.6g}, got {found:.6g}"
        for s in mine:  # turning from its direction to the left, its first class gains on its second
            left = (corner - p[s, 0]) @ np.array([[0, -1], [1, 0]]) @ (p[s, 1] - p[s, 0])
            if (left * (y[loop, classes[s, 0]] - y[loop, classes[s, 1]]) < -slack * width**2).any():
                yield f"boundary: segment {s}: its classes are on the wrong sides"


if __name__ == "__main__":
    try:
        found = list(check(dict(np.load(sys.argv[1], allow_pickle=False))))
    except Exception as error:  # torn, or no certificate: whatever it is, nothing is proved
        sys.exit(f"expected a certificate, got {type(error).__name__}: {error}")
    print(*found[:50], f"{len(found)} findings" if found else "proved", sep="\n")
    sys.exit(bool(found))
