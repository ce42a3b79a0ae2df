"""A report in a real browser: Chromium, named by the variable CHROMIUM or found on the PATH."""

import pytest

from experiments import report
from experiments.report import page
from tests.experiments.browser import CHROMIUM, Browser
from tests.experiments.test_report import EVIL, write_many

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium: none on the PATH, and CHROMIUM names none")

TEXTS = "[...document.querySelectorAll('{}')].map(one => one.textContent)"
USABLE = "[...document.querySelectorAll('a, button, select, input, summary, [tabindex]')]"
USABLE += ".filter(one => one.checkVisibility())"  # but for what is folded up
TAB, RIGHT, HOME, SPACE = ("Tab", 9), ("ArrowRight", 39), ("Home", 36), (" ", 32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "runs").mkdir()
    path = folder / "report.html"
    path.write_text(page.page(report.read(report.find([write_many(folder / "runs")]))))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def opened(browser, file):
    """The page, afresh; whatever a test does with it, its scripts have nothing to say."""
    browser.said.clear()
    browser.open(file)
    yield browser
    assert browser.said == []


def choose(browser, selector, value, event):
    browser.run(
        f"(() => {{ const one = document.querySelector('{selector}'); one.value = {value!r}; "
        f"one.dispatchEvent(new Event('{event}')); }})()"
    )


def test_names_from_folders_and_configs_do_nothing(opened):
    assert opened.run("document.title") == "9 runs in 4 rows"
    assert opened.run("document.querySelectorAll('img[onerror], [src=x]').length") == 0
    assert EVIL in opened.run(TEXTS.format("#scores tbody th"))


def test_no_script_but_the_pages_own_is_run(browser, file):
    other = file.with_name("other.html")
    other.write_text(file.read_text().replace("</body>", "<script>document.title = 'run'</script></body>"))
    browser.said.clear()
    browser.open(other)
    assert browser.run("document.title") == "9 runs in 4 rows"
    assert "Content Security Policy" in browser.said[0]


def test_curves_are_drawn_with_bands_and_for_each_run(opened):
    def count(kind):
        return opened.run(f"document.querySelectorAll('.plot .{kind}').length")

    metrics = ["discriminator/accuracy_fake", "discriminator/accuracy_real", "generator/diversity", "generator/loss"]
    assert opened.run(TEXTS.format("#metric option")) == metrics
    assert count("curve") == 3 + 2  # the rows, and the ends of runs that diverged or were pruned
    assert count("band") == 2  # of the rows with several seeds
    choose(opened, "#band", "runs", "change")
    assert count("curve") == 8 + 2
    opened.run("document.querySelector('#log').click()")
    assert {"0.01", "0.1", "1"} <= set(opened.run(TEXTS.format(".plot text")))


def test_values_at_a_step_stand_in_a_table(opened):
    choose(opened, "#at", "100", "input")
    rows = "[...document.querySelectorAll('#chart tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    # A row's nearest values, of those of its runs that have got so far.
    assert opened.run(rows) == [[EVIL, "0.01", "–", "1"], ["fast", "1.5", "0.7071", "2"], ["slow", "1.1", "1", "3"]]


def test_the_slider_goes_through_time_by_keyboard(opened):
    first = "document.querySelector('figure img').src"
    last = opened.run(first)
    opened.run("document.querySelector('#step').focus()")
    opened.press(*HOME)
    assert opened.run("document.querySelector('#step').getAttribute('aria-valuetext')") == "step 50"
    assert set(opened.run(TEXTS.format(".step"))) == {"50"}
    assert opened.run(first) != last
    opened.press(*RIGHT)
    assert set(opened.run(TEXTS.format(".step"))) == {"50", "100"}


def test_the_table_of_runs_is_sorted_by_its_headings(opened):
    heading = "[...document.querySelectorAll('#runs th button')].find(one => one.textContent === 'accuracy_restored')"
    opened.run(f"{heading}.focus()")
    opened.press(*SPACE)
    up = opened.run(TEXTS.format("#runs tbody th"))
    assert up[:5] == ["fast-0", EVIL, "slow-0", "slow-1", "slow-2"]
    opened.run(f"{heading}.click()")
    down = opened.run(TEXTS.format("#runs tbody th"))
    assert down[0] == "slow-2"
    assert set(up[-4:]) == set(down[-4:]) == {"fast-1", "fast-2", "fast-3", "broken"}  # without a score, either way


def test_all_that_can_be_used_has_a_name_and_is_reached_by_tab_where_it_is_seen(opened):
    named = "one.textContent.trim() || one.ariaLabel || one.labels?.[0]?.textContent.trim()"
    assert opened.run(f"{USABLE}.filter(one => !({named})).length") == 0
    wanted = opened.run(f"{USABLE}.filter(one => !one.disabled).length")
    opened.run("window.reached = new Set()")
    for _ in range(wanted):
        opened.press(*TAB)
        seen = "getComputedStyle(document.activeElement).outlineStyle"
        assert opened.run(f"reached.add(document.activeElement), {seen}") == "solid"
    assert opened.run("reached.size") == wanted


@pytest.mark.parametrize("width", [320, 375])
def test_a_phone_scrolls_in_one_direction_only(width, browser, file):
    browser.open(file, width, 800)
    assert browser.run("[innerWidth, document.documentElement.scrollWidth]") == [width, width]


def test_a_printed_page_is_light_and_has_no_controls(opened):
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    opened.ask("Emulation.setEmulatedMedia", features=dark)
    assert opened.run(colour) == "rgb(21, 23, 27)"
    opened.ask("Emulation.setEmulatedMedia", media="print", features=dark)
    assert opened.run(colour) == "rgb(255, 255, 255)"
    assert opened.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    opened.ask("Emulation.setEmulatedMedia")
