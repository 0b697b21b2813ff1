"""The playground in a real browser: its numbers are those of the package, and it does what it offers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from straightedge import LinearClassifier, SoftmaxClassifier, SVMClassifier
from straightedge.course import softmax_loss_naive, svm_loss_naive
from straightedge.losses import LOSSES, get_loss
from support.browser import open_chromium, open_page

pytestmark = [pytest.mark.browser, pytest.mark.long]  # a browser waits more than it works
PAGE = Path(__file__).parents[1] / "docs" / "playground" / "index.html"
NAIVE = {"svm": svm_loss_naive, "softmax": softmax_loss_naive}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_chromium(tmp_path_factory.mktemp("profile"))
    opened.set_window_size(1320, 1100)
    yield opened
    opened.quit()


@pytest.fixture
def page(browser: Any) -> Any:
    """The page, freshly opened; afterwards its console must be empty."""
    open_page(browser, PAGE.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def problem(seed: int, *, extent: float = 2.0, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    X = np.hstack([extent * random.standard_normal((n, 2)), np.ones((n, 1))])
    return X, random.integers(0, 3, n), random.standard_normal((3, 3))


def in_page(page: Any, call: str, *arguments: Any) -> Any:
    """Evaluate a JavaScript expression over S = Straightedge and a = the arguments."""
    as_lists = [entry.tolist() if isinstance(entry, np.ndarray) else entry for entry in arguments]
    return page.execute_script(f"const S = Straightedge, a = [...arguments]; return {call}", *as_lists)


def click(page: Any, name: str) -> None:
    page.execute_script(f"document.getElementById('{name}').click()")


def choose_loss(page: Any, name: str) -> None:
    page.execute_script(
        f"const menu = document.getElementById('loss'); menu.value = '{name}';"
        "menu.dispatchEvent(new Event('change', { bubbles: true }))"
    )


def state(page: Any, field: str) -> Any:
    return page.execute_script(f"return Straightedge.state.{field}")


def test_the_page_has_every_loss_of_the_package(page: Any) -> None:
    assert sorted(in_page(page, "Object.keys(S.losses)")) == sorted(LOSSES)
    shown = page.execute_script("return [...document.querySelectorAll('.formula')].map(f => f.dataset.for)")
    assert sorted(shown) == sorted(LOSSES)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3], ids=["all scores zero", "usual", "scores of thousands"])
def test_loss_and_score_gradient_are_those_of_the_package(page: Any, name: str, scale: float) -> None:
    X, y, W = problem(3)
    scores = scale * (X @ W)
    block = torch.from_numpy(scores.copy())[:, None, :]
    values = get_loss(name).value_and_gradient(block, torch.from_numpy(y))
    ours = in_page(page, "a[0].map((s, i) => S.losses[a[2]].value(s, a[1][i]))", scores, y, name)
    gradient = in_page(page, "a[0].map((s, i) => S.losses[a[2]].gradient(s, a[1][i]))", scores, y, name)
    np.testing.assert_allclose(ours, values[:, 0].numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradient, block[:, 0].numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["svm", "softmax"])
def test_objective_and_gradient_are_those_of_the_loops(page: Any, name: str) -> None:
    X, y, W = problem(5)
    expected, dW = NAIVE[name](torch.from_numpy(W), torch.from_numpy(X), torch.from_numpy(y), 0.05)
    result = in_page(page, "S.objective(a[0], a[1], a[2], 0.05, S.losses[a[3]])", W, X, y, name)
    assert result["objective"] == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(result["dW"], dW.numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reg", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("name", ["svm", "softmax"])
def test_the_optimum_is_proven_and_agrees_with_the_estimator(page: Any, name: str, reg: float) -> None:
    X, y, _ = problem(7, n=30)
    best = in_page(page, "S.solve(a[0], a[1], a[2], a[3], 3)", name, X, y, reg)
    assert 0 <= best["gap"] <= 1e-8 * best["objective"]
    value, _ = NAIVE[name](
        torch.tensor(best["W"], dtype=torch.float64), torch.from_numpy(X), torch.from_numpy(y), reg
    )
    assert float(value) == pytest.approx(best["objective"], rel=1e-12)
    kind = {"svm": SVMClassifier, "softmax": SoftmaxClassifier}[name]
    fitted = kind(reg=reg, tol=1e-4, preprocess="none").fit(X[:, :2], y)
    assert fitted.dual_ <= best["objective"] * (1 + 1e-6)
    assert best["dual"] <= fitted.objective_ * (1 + 1e-6)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - set(NAIVE)))
def test_the_optimum_of_every_other_loss_is_proven_and_agrees_with_the_estimator(page: Any, name: str) -> None:
    X, y, _ = problem(7, n=30)
    best = in_page(page, "S.solve(a[0], a[1], a[2], 0.01, 3)", name, X, y)
    assert 0 <= best["gap"] <= 1e-8 * best["objective"]
    fitted = LinearClassifier(loss=name, reg=0.01, tol=1e-4, preprocess="none").fit(X[:, :2], y)
    assert fitted.dual_ <= best["objective"] * (1 + 1e-6)
    assert best["dual"] <= fitted.objective_ * (1 + 1e-6)


def test_gap_of_the_gradient_bounds_the_distance_to_the_optimum(page: Any) -> None:
    X, y, W = problem(11)
    for name in NAIVE:
        now = in_page(page, "S.objective(a[0], a[1], a[2], 0.01, S.losses[a[3]])", W, X, y, name)
        best = in_page(page, "S.solve(a[0], a[1], a[2], 0.01, 3)", name, X, y)
        assert now["gap"] >= now["objective"] - best["objective"] > 0


def test_the_plane_is_parted_where_scores_tie(page: Any) -> None:
    _, _, W = problem(13)
    grid = np.stack(np.meshgrid(np.linspace(-2.9, 2.9, 15), np.linspace(-2.9, 2.9, 15)), -1).reshape(-1, 2)
    winners = (np.hstack([grid, np.ones((len(grid), 1))]) @ W).argmax(axis=1)
    regions = in_page(page, "[0, 1, 2].map(j => S.geometry.region(a[0], j))", W)
    for place, winner in zip(grid, winners, strict=True):
        assert [inside(np.array(corners), place) for corners in regions].index(True) == winner
    for line in in_page(page, "S.geometry.lines(a[0])", W):
        ends = np.hstack([np.array(line["segment"]), np.ones((2, 1))]) @ W
        np.testing.assert_allclose(ends[:, line["j"]], ends[:, line["k"]], atol=1e-9)


def inside(corners: np.ndarray, place: np.ndarray) -> bool:
    """Whether a place lies in a convex polygon given counter-clockwise."""
    if len(corners) < 3:
        return False
    edges, reach = np.roll(corners, -1, axis=0) - corners, place - corners
    return bool((edges[:, 0] * reach[:, 1] - edges[:, 1] * reach[:, 0] >= -1e-12).all())


def test_steps_are_gradient_descent_and_reach_the_optimum(page: Any) -> None:
    choose_loss(page, "softmax")
    X = np.array([[point["x"], point["y"], 1.0] for point in state(page, "points")])
    y = np.array([point["label"] for point in state(page, "points")])
    W = np.zeros((3, 3))
    for _ in range(5):
        _, dW = softmax_loss_naive(torch.from_numpy(W), torch.from_numpy(X), torch.from_numpy(y), 0.01)
        W = W - 0.1 * dW.numpy()
        click(page, "step")
    np.testing.assert_allclose(state(page, "W"), W, rtol=1e-10, atol=1e-12)
    click(page, "jump")
    shown = page.find_element("id", "objective").text, page.find_element("id", "optimum").text
    assert shown[0] == shown[1] != ""
    click(page, "reset")
    assert page.find_element("id", "objective").text == "1.099"  # log 3


def test_the_walk_over_the_samples_ends_in_the_gradient(page: Any) -> None:
    n = len(state(page, "points"))
    click(page, "step")
    for _ in range(n):
        click(page, "walk")
    total = np.array(state(page, "walk.sum")) / n + 2 * 0.01 * np.array(state(page, "W"))
    np.testing.assert_allclose(total, state(page, "now.dW"), rtol=1e-10, atol=1e-12)
    click(page, "walk")
    assert "All samples are in" in page.find_element("id", "walk-note").text


def test_the_table_of_all_points_adds_up_and_is_filled_by_the_walk(page: Any) -> None:
    rows = page.execute_script(
        "return [...document.querySelectorAll('#all tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    values = state(page, "now.values")
    assert len(rows) == len(values) == len(state(page, "points"))
    assert float(rows[-1][-1]) == pytest.approx(sum(values), rel=1e-3)
    click(page, "walk")
    click(page, "walk")
    filled = page.execute_script(
        "return [...document.querySelectorAll('#all tbody tr')].filter(r => r.cells[7].textContent).length"
    )
    assert filled == 2


def test_weights_are_set_by_numbers_by_dragging_and_by_chance(page: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    field = page.find_element("id", "w-0-1")
    field.clear()
    field.send_keys("-1.5", Keys.TAB)
    assert state(page, "W")[0] == [0, -1.5, 0]
    tip = page.find_element("css selector", "[data-column='1']")
    ActionChains(page).drag_and_drop_by_offset(tip, 0, -30).perform()
    assert state(page, "W")[1][1] > 0.1
    click(page, "random")
    drawn = np.array(state(page, "W"))
    assert (np.abs(drawn) <= 1).all()
    assert len(np.unique(drawn)) > 5
    assert state(page, "step") == 0


def test_lines_of_score_zero_are_where_the_score_is_zero(page: Any) -> None:
    click(page, "random")
    assert page.execute_script("return document.querySelectorAll('#zeros path').length") == 0
    click(page, "zero")
    paths = page.execute_script(
        "return [...document.querySelectorAll('#zeros g')].map(g => g.firstChild?.getAttribute('d'))"
    )
    assert len(paths) == 3
    for j, path in enumerate(paths):
        if path is None:  # this line misses the plane
            continue
        ends = [[float(part) / 100 for part in end.split()] for end in path[1:].split("L")]
        for x, y in ends:
            assert np.array([x, -y, 1.0]) @ np.array(state(page, "W"))[:, j] == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize(
    ("link", "words"),
    [("#loss=svm&reg=0.01&rate=1", "across a kink"), ("#loss=softmax&reg=1&rate=0.3", "within a millionth")],
)
@pytest.mark.long
def test_a_run_ends_and_says_why(browser: Any, link: str, words: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    open_page(browser, PAGE.as_uri() + link)
    browser.execute_script(  # hundreds of steps, of which only the last words are looked at: nothing is drawn
        "window.requestAnimationFrame = (next) => setTimeout(next, 0);"
        "for (const part of [Straightedge.view, Straightedge.tables])"
        "  for (const name of Object.keys(part)) if (/^(draw|fill)/.test(name)) part[name] = () => {};"
    )
    click(browser, "run")
    WebDriverWait(browser, 60).until(lambda _: not state(browser, "running"))
    assert words in browser.find_element("id", "status").text


def visible(page: Any, *selectors: str) -> list[bool]:
    """Whether elements lie wholly in the window as it opens, without scrolling."""
    return page.execute_script(
        "return arguments[0].map(s => { const b = document.querySelector(s).getBoundingClientRect();"
        "return b.width > 0 && b.top >= 0 && b.left >= 0 && b.bottom <= innerHeight && b.right <= innerWidth })",
        list(selectors),
    )


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [
        (390, 760, ["#plane", "#weights", "#step", "#run"]),
        (
            1280,
            720,
            ["#plane", "#weights", "#hand", "#step", "#jump", "#chart", "#readout", ".legend", ".hint", "#loss"],
        ),
    ],
)
def test_what_matters_is_seen_without_scrolling(page: Any, width: int, height: int, wanted: list[str]) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert dict(zip(wanted, visible(page, *wanted), strict=True)) == dict.fromkeys(wanted, True)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [390, 1280])
def test_the_table_of_all_points_shows_its_losses_without_scrolling_sideways(page: Any, width: int) -> None:
    metrics = {"width": width, "height": 720, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        table = page.execute_script(
            "for (let i = 0; i < 30; i++) document.getElementById('step').click();"
            "const all = document.getElementById('all'); return [all.scrollWidth, all.clientWidth]"
        )
        assert table[0] <= table[1]
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_link_opens_while_the_page_is_open_and_keeps_weights(page: Any) -> None:
    page.execute_script("location.hash = '#loss=squared_hinge&reg=0.1&w=1,2,3,4,5,6,7,8,9&zero=1'")
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 5).until(lambda _: state(page, "loss") == "squared_hinge")
    assert state(page, "W") == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    again = in_page(page, "S.fromHash(S.toHash(S.state), 3, 200)")
    assert (again["W"], again["zero"], again["loss"]) == (state(page, "W"), True, "squared_hinge")


def test_links_of_the_page_name_files_so_that_they_work_from_a_folder(page: Any) -> None:
    links = page.execute_script("return [...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert [link for link in links if link[0] != "#" and not link.endswith(".html")] == []


def test_a_run_of_steps_starts_and_stops(page: Any) -> None:
    click(page, "run")
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 5).until(lambda _: state(page, "step") > 3)
    assert page.find_element("id", "run").text == "Pause"
    click(page, "run")
    assert page.find_element("id", "run").text == "Run"
    assert "Stopped after" in page.find_element("id", "status").get_attribute("textContent")


def test_points_are_dragged_added_and_removed_with_the_mouse(page: Any) -> None:
    from selenium.webdriver import ActionChains

    plane = page.find_element("id", "plane")
    unit = plane.size["width"] / 6
    before = state(page, "points")
    point = page.find_element("css selector", f"[data-id='{before[0]['id']}'] use")
    optimum = state(page, "best.objective")
    ActionChains(page).drag_and_drop_by_offset(point, round(unit), round(unit)).perform()
    after = state(page, "points")
    assert after[0]["x"] == pytest.approx(before[0]["x"] + 1, abs=0.05)
    assert after[0]["y"] == pytest.approx(before[0]["y"] - 1, abs=0.05)
    assert after[1:] == before[1:]
    assert state(page, "best.objective") != optimum
    page.execute_script("document.querySelector('#classes [value=\"2\"]').click()")
    ActionChains(page).move_to_element_with_offset(plane, round(-2.5 * unit), round(-2.5 * unit)).click().perform()
    added = state(page, "points").pop()
    assert (added["x"], added["y"], added["label"]) == (
        pytest.approx(-2.5, abs=0.05),
        pytest.approx(2.5, abs=0.05),
        2,
    )
    click(page, "remove")
    assert state(page, "points") == after


def test_everything_can_be_done_with_keys(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    n = len(state(page, "points"))
    focused = page.find_element("css selector", ".point[tabindex='0']")
    start = state(page, "points[0]")
    focused.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_UP, "3")
    moved = state(page, "points[0]")
    assert (moved["x"], moved["y"]) == (pytest.approx(start["x"] + 0.1), pytest.approx(start["y"] + 0.1))
    assert moved["label"] == 2
    focused.send_keys("a")
    assert len(state(page, "points")) == n + 1
    page.switch_to.active_element.send_keys(Keys.DELETE)
    page.switch_to.active_element.send_keys("n")
    assert state(page, "selected") == state(page, "points[0].id")
    assert len(state(page, "points")) == n


def test_an_empty_plane_and_one_class_alone_are_fine(page: Any) -> None:
    page.execute_script(
        "const menu = document.getElementById('preset'); menu.value = '6';"
        "menu.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    click(page, "step")
    assert page.find_element("id", "optimum").text == "–"
    click(page, "add")
    click(page, "step")
    assert float(page.find_element("id", "optimum").text) > 0


def test_a_learning_rate_that_overshoots_is_named(page: Any) -> None:
    page.execute_script(
        "for (const [id, at] of [['reg', 0], ['rate', 1]]) {"
        "const input = document.getElementById(id); input.value = at; input.dispatchEvent(new Event('input')) }"
    )
    page.execute_script("for (let i = 0; i < 200; i++) document.getElementById('step').click()")
    assert "lower the learning rate" in page.find_element("id", "trouble").text
    assert np.isfinite(np.array(state(page, "W"))).all()


def test_a_link_restores_the_points_and_a_mangled_one_opens(browser: Any) -> None:
    open_page(browser, PAGE.as_uri() + "#loss=softmax&reg=0.1&rate=1&points=0,1.5,-0.2;2,-1,2.25")
    assert (state(browser, "loss"), state(browser, "reg"), state(browser, "rate")) == ("softmax", 0.1, 1)
    places = [(point["x"], point["y"], point["label"]) for point in state(browser, "points")]
    assert places == [(1.5, -0.2, 0), (-1, 2.25, 2)]
    open_page(browser, PAGE.as_uri() + "#loss=nothing&reg=-3&points=7,1,1;0,99,0;<b>;0,0.5,0.5")
    assert (state(browser, "loss"), state(browser, "reg"), len(state(browser, "points"))) == ("svm", 0.01, 1)


def test_nothing_leaves_the_page(page: Any) -> None:
    import json

    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "about:"))] == []


@pytest.mark.parametrize("width", [390, 768, 1320])
def test_no_width_scrolls_sideways(page: Any, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
