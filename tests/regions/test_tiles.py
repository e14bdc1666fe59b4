"""Tiles: enumerated apart and sewn together they are the partition that one enumeration finds, region for region."""

import multiprocessing
import pickle
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import networks
import numpy as np
import pools
import pytest
import torch
from cases import DEGENERATE, Case, dense, faults, lines, module, near_case, random_case, square, star
from oracle import RELU, Layer

import splineviz as sv
from splineviz.errors import BudgetError, PartitionError, PlaneError, SeamError, SplinevizError
from splineviz.geometry.invariants import ARRAYS
from splineviz.geometry.plane import Plane

PLANE = Plane(np.zeros(2), np.eye(2))
GRIDS = ((2, 2), (1, 4), (3, 2))


def outline(part):
    """Regions by pattern: area; edges by the two patterns beside them and the unit: lengths."""
    pattern = [*part.pattern_hash.tolist(), -1]
    length = np.linalg.norm(np.diff(part.local_vertices[part.edges], axis=1)[:, 0], axis=1)
    edges = defaultdict(list)
    for (left, right), tag, size in zip(part.edge_faces.tolist(), part.edge_tag.tolist(), length, strict=True):
        edges[(*sorted((pattern[left], pattern[right])), tag)].append(size)
    return dict(zip(pattern, part.areas, strict=False)), {key: sorted(sizes) for key, sizes in edges.items()}


def assert_same(whole, sewn):
    """The same regions with the same areas, edges, units, lengths and neighbours, and as many vertices."""
    (areas, edges), (sewn_areas, sewn_edges) = outline(whole), outline(sewn)
    assert areas.keys() == sewn_areas.keys()
    assert len(sewn_areas) == sewn.num_regions
    size = sum(areas.values())
    assert max(abs(areas[key] - sewn_areas[key]) for key in areas) <= 1e-12 * size
    assert {key: len(sizes) for key, sizes in edges.items()} == {key: len(sizes) for key, sizes in sewn_edges.items()}
    assert all(np.allclose(sizes, sewn_edges[key], rtol=1e-9, atol=1e-12 * size**0.5) for key, sizes in edges.items())
    assert len(whole.vertices) == len(sewn.vertices)
    assert whole.layer_paths == sewn.layer_paths and whole.max_layers == sewn.max_layers
    assert faults(sewn) == []


# ---- the table: where a seam may lie ----------------------------------------------------------------------------

SEAMS = {
    # name: (case, rows, columns); the window is [-1, 1]^2 unless it says otherwise, so 2 tiles meet at 0, 4 at +-1/2
    "a gaussian network": (Case("", dense(1, 2, 20, 20, 2)), 3, 4),
    "a knot along a seam": (Case("", lines((1, 0, 0), (1, 1, 0.3))), 1, 2),
    "a knot along a seam, off the middle": (Case("", lines((1, 0, 0.5), (0, 1, -0.5))), 4, 4),
    "knots along all seams": (
        Case("", lines(*[(1, 0, c / 2) for c in (-1, 0, 1)], *[(0, 1, c / 2) for c in (-1, 0, 1)])),
        4,
        4,
    ),
    "parallel to a seam, 1e-13 beside it": (Case("", lines((1, 0, 1e-13), (1, 1, 0.3))), 1, 2),
    "parallel to a seam, 1e-9 beside it": (Case("", lines((1, 0, 1e-9), (1, 0, -1e-9), (1, 1, 0.3))), 2, 2),
    "knots through a corner of tiles": (Case("", lines(*star(10))), 2, 2),
    "knots through a corner, off the middle": (Case("", lines((1, 1, 0), (1, -1, 0), (2, 1, -0.5), (1, 0, -0.5))), 4, 4),
    "bias-free, three layers": (Case("", dense(3, 2, 8, 8, 8, 2, bias=0.0)), 2, 2),
    "bias-free, tiles beside the origin": (
        Case("", dense(3, 2, 8, 8, 8, 2, bias=0.0), square(1, 0.2, 0.1)),
        3,
        3,
    ),
    "the same unit thrice, on a seam": (Case("", lines((1, 0, 0), (-1, 0, 0), (2, 0, 0), (0, 1, 0.1))), 2, 2),
    "the same unit three times, across": (Case("", lines((2, 1, 0.3), (2, 1, 0.3), (2, 1, 0.3))), 3, 3),
    "identical layers, on a seam": (
        Case("", (Layer(np.eye(2), [0, 0], RELU), Layer(np.eye(2), [0, 0], RELU), Layer(np.ones((1, 2)), [0]))),
        2,
        2,
    ),
    "a second layer that bends onto a seam": (
        Case("", (Layer([[1, 1], [1, -1]], [0, 0], RELU), Layer([[1, 1], [1, -1]], [-1, 0], RELU), Layer([[1, 1]], [0]))),
        2,
        4,
    ),
    "dead and always-on units": (Case("", lines((1, 1, -9), (1, 1, 9), (0, 0, 0), (0, 0, -1), (1, 0, 0))), 2, 2),
    "all units dead": (Case("", lines((1, 1, -9), (1, 0, -9))), 3, 3),
    "more units than one turn takes, some on a seam": (
        Case("", lines(*[(1, 0, c / 64) for c in range(-60, 60)], *[(1, 0, 0), (0, 1, 0)] * 2, (1, 2, 0.1))),
        2,
        2,
    ),
    "a triangle, with a seam through its top": (
        Case("", dense(2, 2, 8, 8, 2), np.array([[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]])),
        3,
        2,
    ),
    "a twelve-sided window": (
        Case("", dense(9, 2, 8, 8, 2), np.array([[np.cos(a), np.sin(a)] for a in np.arange(12) / 6 * np.pi])),
        4,
        4,
    ),
    "a window of 1e-9": (Case("", lines((1, 0, -0.5), (0, 1, -0.25), (1, 1, -0.75 + 3e-10)), square(1e-9, 0.5, 0.25)), 2, 2),
    "no kink at all": (Case("", (Layer([[1, 2], [3, 4]], [0, 0]), Layer([[1, -1]], [0]))), 2, 3),
}


@pytest.mark.parametrize("name", SEAMS)
def test_a_tiled_slice_is_the_untiled_one(name):
    case, rows, columns = SEAMS[name]
    model = module(case.layers)
    whole = sv.partition(model, case.plane, window=case.window)
    sewn = sv.partition(model, case.plane, window=case.window, tiles=(rows, columns), threads=1)
    assert_same(whole, sewn)
    assert sewn.verify(model).ok


@pytest.mark.parametrize("case", DEGENERATE, ids=lambda case: case.name)
def test_so_are_all_degenerate_cases(case):
    model = module(case.layers)
    whole = sv.partition(model, case.plane, window=case.window)
    for grid in GRIDS[:2]:
        assert_same(whole, sv.partition(model, case.plane, window=case.window, tiles=grid, threads=1))


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_so_are_random_networks_on_random_windows(first):
    for seed in range(first, first + 10):
        case = random_case(seed)
        model = module(case.layers)
        whole = sv.partition(model, case.plane, window=case.window)
        assert_same(whole, sv.partition(model, case.plane, window=case.window, tiles=GRIDS[seed % 3], threads=1))


NETWORKS = (
    "residual",
    "convolutions",
    "dense connections",
    "prelu on pictures",
    "relu6",
    "maximum",
    "transposed convolution",
)


@pytest.mark.parametrize("name", [*NETWORKS, *pools.TABLE])
def test_so_are_networks_of_other_kinds(name):
    model, shape = networks.build(name, table={**networks.TABLE, **pools.TABLE})
    plane = Plane.through(*np.random.default_rng(0).normal(size=(3, *shape)))
    sewn = sv.partition(model, plane, tiles=(2, 3), threads=1)
    assert_same(sv.partition(model, plane), sewn)
    assert sewn.verify(model).ok


def test_so_is_a_maximum_whose_knots_lie_on_seams():
    linear = torch.nn.Linear(2, 6).double()
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 0], [-1, 0], [0, 0], [0, 1], [0, -1], [0, 0]]))
        linear.bias.copy_(torch.tensor([0.0, 0, -0.25, 0, 0, 0.5]))
    model = networks.Forward(lambda m, x: m.a(x).view(-1, 2, 3).amax(dim=2), a=linear)
    whole = sv.partition(model, PLANE)
    for grid in ((2, 2), (4, 4)):
        sewn = sv.partition(model, PLANE, tiles=grid)
        assert_same(whole, sewn)
        assert sewn.verify(model).ok


def test_where_double_precision_ends_tiles_are_right_or_refused():
    refused = 0
    for seed in range(30):
        case = near_case(seed)
        model = module(case.layers)
        whole = sv.partition(model, case.plane, window=case.window)
        try:
            sewn = sv.partition(model, case.plane, window=case.window, tiles=(2, 2), threads=1)
        except SeamError:
            refused += 1
            continue
        assert faults(sewn) == []
        known, found = set(whole.pattern_hash.tolist()), sewn.pattern_hash.tolist()
        assert len(set(found)) == len(found)
        assert sum(area for key, area in zip(found, sewn.areas, strict=True) if key not in known) < 1e-11
    assert refused < 5


# ---- as jobs ---------------------------------------------------------------------------------------------------

MODEL = module(dense(5, 2, 16, 16, 2))


def parts(rows=2, columns=2, model=MODEL, **options):
    return [sv.part(model, tile, **options) for tile in sv.tiles(PLANE, 1.0, rows, columns)]


def test_parts_are_sewn_in_any_order_from_memory_or_files(tmp_path):
    whole = sv.partition(MODEL, PLANE, window=1.0)
    found = parts()
    paths = [tmp_path / f"{i}.npz" for i in range(4)]
    for part, path in zip(found, paths, strict=True):
        part.save(path)
    sewn = sv.sew(found)
    assert_same(whole, sewn)
    again = sv.sew([paths[2], found[1], paths[3], paths[0]])
    assert all(np.array_equal(getattr(sewn, name), getattr(again, name)) for name in ARRAYS)


def test_a_part_is_the_partition_of_its_tile():
    found = parts(2, 3)
    assert sum(part.partition.areas.sum() for part in found) == pytest.approx(4.0, rel=1e-12)
    assert all(part.partition.verify(MODEL).ok for part in found)
    tiles = sv.tiles(PLANE, 1.0, 2, 3)
    assert [(tile.row, tile.column) for tile in tiles] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert np.allclose(tiles[5].window.min(axis=0), (1 / 3, 0)) and np.allclose(tiles[5].window.max(axis=0), (1, 1))
    assert tiles[5].name == "tile-006-of-006"


def test_threads_blocks_and_processes_change_nothing():
    whole = sv.partition(MODEL, PLANE, window=1.0)
    assert_same(whole, sv.sew(parts(threads=3, block_bytes=1 << 11)))
    with ThreadPoolExecutor(2) as pool:
        assert_same(whole, sv.partition(MODEL, PLANE, window=1.0, tiles=(2, 2), executor=pool))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        shares = []
        sewn = sv.partition(
            MODEL, PLANE, window=1.0, tiles=(2, 1), executor=pool, progress=lambda *seen: shares.append(seen), threads=1
        )
    assert_same(whole, sewn)
    assert [share for share, _ in shares] == [0.5, 1.0]


def test_a_tile_and_a_part_are_plain_data():
    tile = pickle.loads(pickle.dumps(sv.tiles(PLANE, 1.0)[3]))
    part = pickle.loads(pickle.dumps(sv.part(MODEL, tile)))
    assert_same(sv.partition(MODEL, PLANE, window=1.0), sv.sew([*parts()[:3], part]))


def test_rounding_between_machines_is_harmless():
    found = parts()
    rng = np.random.default_rng(0)
    moved = []
    for part in found:
        points = part.partition.local_vertices
        moved.append(broken(part, local_vertices=points + 1e-15 * rng.normal(size=points.shape)))
    assert_same(sv.partition(MODEL, PLANE, window=1.0), sv.sew(moved))


# ---- refusals --------------------------------------------------------------------------------------------------


def test_what_does_not_fit_together_is_refused():
    found = parts()
    with pytest.raises(SeamError, match=r"without \[3\]"):
        sv.sew(found[:2] + found[3:])
    with pytest.raises(SeamError, match="got tile 2 of 4 twice"):
        sv.sew([*found, found[1]])
    with pytest.raises(SeamError, match="got none"):
        sv.sew([])
    other = parts(model=module(dense(6, 2, 16, 16, 2)))
    with pytest.raises(SeamError, match="got tile 4 of another network"):
        sv.sew([*found[:3], other[3]])
    with pytest.raises(SeamError, match="got tile 1 of another"):
        sv.sew([found[1], parts(tolerance=1e-12)[0]])


def broken(part, **changes):
    own = {key: value for key, value in changes.items() if key.startswith(("seam", "piece"))}
    rest = {key: value for key, value in changes.items() if key not in own}
    return replace(part, **own, partition=replace(part.partition, **rest))


def test_what_is_ambiguous_is_refused_and_never_guessed():
    found = parts()
    first = found[0]
    keys = first.seam_keys.copy()
    keys[3] ^= np.uint64(1)
    with pytest.raises(SeamError, match=r"got 2 edges alone \(as in tile \d of 4\)"):
        sv.sew([broken(first, seam_keys=keys), *found[1:]])
    vertices = first.partition.local_vertices.copy()
    vertices[first.partition.edges[first.seam_edges[2]]] += 1e-3
    with pytest.raises(SeamError, match="got some 0.001 apart"):
        sv.sew([broken(first, local_vertices=vertices), *found[1:]])
    hashes = first.partition.pattern_hash.copy()
    hashes[first.partition.edge_faces[first.seam_edges[2]].max()] ^= np.uint64(99)
    with pytest.raises(SeamError, match="expected to know the unit whose knot lies on a seam"):
        sv.sew([broken(first, pattern_hash=hashes), *found[1:]])
    tags = first.partition.edge_tag.copy()
    tags[tags >= 0] = (tags[tags >= 0] + 1) % 32
    with pytest.raises(SeamError, match="got one that ends or bends there"):
        sv.sew([broken(first, edge_tag=tags), *found[1:]])


def test_every_kind_of_damage_to_a_seam_is_refused_or_mended():
    """One entry of every array of a tile beside its seam: sewing refuses, or `verify` does, or nothing was lost by it."""
    found, whole = parts(), sv.partition(MODEL, PLANE, window=1.0)
    tried, missed = Counter(), []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        for name, hurt in seam_damages(found[0], rng).items():
            tried[name] += 1
            try:
                sewn = sv.sew([hurt, *found[1:]])
                if sv.verify(sewn, MODEL, raise_on_failure=False).ok:
                    assert_same(whole, sewn)
            except SplinevizError:
                continue
            except AssertionError:
                missed.append((name, seed))
    print(f"{tried.total() - len(missed)} / {tried.total()} caught")
    assert tried.total() >= 27 and not missed


def seam_damages(part, rng):
    """A tile with one entry changed at its seam, by the name of the array."""
    own, k = part.partition, int(rng.integers(len(part.seam_edges)))
    edge = int(part.seam_edges[k])
    vertex, face = int(own.edges[edge, 0]), int(own.edge_faces[edge].max())

    def entry(name, at, by):
        array = getattr(part if name.startswith(("seam", "piece")) else own, name).copy()
        array[at] = by(array[at])
        return broken(part, **{name: array})

    step = 1e-6 * np.array([0.6, 0.8])
    damages = {
        "local_vertices": entry("local_vertices", vertex, lambda x: x + step),
        "outputs": entry("outputs", vertex, lambda y: y + 1e-6),
        "edges": entry("edges", edge, lambda e: e[::-1]),
        "edge_faces": entry("edge_faces", edge, lambda f: f[::-1]),
        "edge_tag": entry("edge_tag", edge, lambda tag: 1 if tag < 1 else tag - 1),
        "pattern_hash": entry("pattern_hash", face, lambda h: h ^ np.uint64(1 << int(rng.integers(60)))),
        "seam_keys": entry("seam_keys", k, lambda key: key ^ np.uint64(1 << int(rng.integers(60)))),
        "seam_keys: two swapped": entry("seam_keys", [k, k - 1], lambda keys: keys[::-1]),
        "seam_edges": broken(part, seam_edges=np.delete(part.seam_edges, k), seam_keys=np.delete(part.seam_keys, k),
                             piece_offsets=np.delete(part.piece_offsets, k)),
    }  # fmt: skip
    if len(part.piece_hash):
        i = int(rng.integers(len(part.piece_hash)))
        damages["piece_hash"] = entry("piece_hash", i, lambda h: h ^ np.uint64(1 << int(rng.integers(60))))
        damages["piece_unit"] = entry("piece_unit", i, lambda unit: (unit + 1) % 32)
        damages["piece_rank"] = entry("piece_rank", i, lambda rank: rank + 1)
    return damages


def test_a_pattern_on_two_regions_is_refused():
    found = parts()
    patterns = [set(part.partition.pattern_hash[part.partition.edge_faces[part.seam_edges].max(axis=1)]) for part in found]
    faces = found[0].partition.edge_faces[found[0].seam_edges].max(axis=1)
    foreign = next(iter(patterns[3] - patterns[0]))
    hashes = found[0].partition.pattern_hash.copy()
    hashes[faces[0]] = foreign
    with pytest.raises(SeamError):
        sv.sew([broken(found[0], pattern_hash=hashes), *found[1:]])


def test_broken_part_files_are_refused(tmp_path):
    path = tmp_path / "part.npz"
    part = parts()[0]
    part.save(path)
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(PartitionError, match="enumerate the tile anew"):
        sv.sew([path])
    sv.partition(MODEL, PLANE, window=1.0).save(path)
    with pytest.raises(PartitionError, match="expected a tile of a slice"):
        sv.Part.load(path)
    for change in (
        {"seam_edges": part.seam_edges + 10_000},
        {"seam_edges": part.seam_edges[::-1].copy()},
        {"piece_offsets": part.piece_offsets + 1},
        {"seam_keys": 0 * part.seam_keys},
        {"corners": part.corners + 10_000},
        {"seam_edges": np.arange(len(part.seam_edges), dtype=np.int32)},
    ):
        replace(part, **change).save(path)
        with pytest.raises(PartitionError, match="got a wrong"):
            sv.Part.load(path)


def test_bad_grids_are_refused():
    for shape in ((0, 2), (2, 1.5), ("2", 2), (2, -1)):
        with pytest.raises(PlaneError, match="expected a whole number of tiles from 1 up"):
            sv.tiles(PLANE, 1.0, *shape)
    with pytest.raises(PlaneError, match="at most 65536"):
        sv.tiles(PLANE, 1.0, 1000, 1000)
    with pytest.raises(SeamError, match=r"expected \(rows, columns\)"):
        sv.partition(MODEL, PLANE, tiles=4)
    with pytest.raises(BudgetError, match="max_regions"):
        sv.partition(MODEL, PLANE, tiles=(2, 2), max_regions=50)
    limit = max(part.partition.num_regions for part in parts())
    with pytest.raises(BudgetError, match="in 4 tiles"):
        sv.partition(MODEL, PLANE, window=1.0, tiles=(2, 2), max_regions=limit)


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=str)
def test_all_tiles_together_keep_to_the_seconds_of_the_whole(executor):
    """Each of them stays far below the limit, all of them do not."""
    network, slow = module(dense(1, 2, 20, 20, 2)), lambda *told: time.sleep(0.1)
    pool = None if executor is None else executor(1)
    with pytest.raises(BudgetError, match=r"at most 0.35 s \(max_seconds\), used up when \d of 9 tiles"):
        sv.partition(network, PLANE, window=1, tiles=(3, 3), max_seconds=0.35, progress=slow, executor=pool, threads=1)
    with pytest.raises(BudgetError, match="max_seconds: expected a number above 0"):
        sv.partition(network, PLANE, window=1, tiles=(3, 3), max_seconds="1")
    if pool is not None:
        pool.shutdown()
