"""A person uploads a video, sees it transcoded, plays it, and deletes it: in a real browser."""

from pathlib import Path

from playwright.sync_api import Browser, Page, Response, Route, expect

from tests.console.system import System, paused
from tests.console.tab import MILLISECONDS, Tab, opened_tab, wait_until

PLAYABLE_MILLISECONDS = 120_000


def upload(page: Page, video_file: Path) -> None:
    """Choose a file, and wait until the player has it."""
    page.set_input_files("#file", video_file)
    expect(page.locator(".uploading")).to_contain_text("stored")
    page.wait_for_selector(".player video", timeout=PLAYABLE_MILLISECONDS)


def play_on(page: Page) -> float:
    """Play until the picture has moved; return the time that it has reached, in seconds."""
    return float(
        page.evaluate(
            """async milliseconds => {
                const film = document.querySelector("video");
                const begin = film.currentTime;
                film.muted = true;
                const late = new Promise((_, reject) => setTimeout(
                    () => reject(new Error(`stands at ${film.currentTime}`)), milliseconds));
                await Promise.race([film.play(), late]);
                const moved = new Promise((resolve) => (film.ontimeupdate = () =>
                    film.currentTime > begin + 0.2 && resolve()));
                await Promise.race([moved, late]);
                return film.currentTime;
            }""",
            MILLISECONDS,
        )
    )


def test_from_upload_to_playback(page: Page, system: System, video_file: Path) -> None:
    upload(page, video_file)
    expect(page.locator(".player h2")).to_have_text("By the sea")
    assert play_on(page) > 0.2
    options = page.locator(".player select option").all_inner_texts()
    assert [option.partition(" ")[0] for option in options] == ["720p", "360p"]


def test_seeking_asks_for_a_range_and_another_quality_goes_on_there(
    page: Page, video_file: Path
) -> None:
    statuses: set[int] = set()

    def on_response(response: Response) -> None:
        if "/renditions/" in response.url:
            statuses.add(response.status)

    page.on("response", on_response)
    upload(page, video_file)
    page.evaluate("document.querySelector('video').currentTime = 2.5")
    assert play_on(page) > 2.5
    page.evaluate("document.querySelector('video').pause()")
    page.locator(".player select").select_option("360p")
    film = "document.querySelector('video')"
    wait_until(page, f"{film}.src.endsWith('/360p') && {film}.readyState >= 2")
    wait_until(page, f"{film}.currentTime > 2.5")
    assert statuses == {206}
    wait_until(page, "document.querySelector('video').videoHeight === 360")


def test_the_path_names_who_proved_what_at_each_hop(
    page: Page, system: System, video_file: Path
) -> None:
    upload(page, video_file)
    expect(page.locator(".hops li.accepted")).to_have_count(3)
    hops = page.locator(".hops li").all_inner_texts()
    assert [hop.splitlines()[0].split(" ")[0] for hop in hops] == [
        "browser",
        "console",
        "gateway",
        "transcoder",
    ]
    for hop, names in zip(
        hops[1:],
        (("console", "gateway"), ("gateway", "video-queue"), ("transcoder", "video-queue")),
        strict=True,
    ):
        for name in names:
            assert f"spiffe://video-demo.test/{name}" in hop


def test_a_film_whose_loading_breaks_off_is_loaded_again(tab: Tab, video_file: Path) -> None:
    """By itself, and it goes on where it was."""
    upload(tab.page, video_file)
    film = "document.querySelector('video')"
    tab.page.evaluate(f"{film}.currentTime = 2.5")
    tab.page.evaluate(f"{film}.playbackRate = 0.1")  # it must not end before it breaks off
    assert play_on(tab.page) > 2.5
    broken: list[str] = []

    def break_off_once(route: Route) -> None:
        if broken:
            return route.continue_()
        broken.append(route.request.url)
        return route.abort("connectionfailed")

    tab.page.route("**/renditions/**", break_off_once)
    tab.page.locator(".player select").select_option("360p")
    note = tab.page.locator(".player [role=status]")
    expect(note).to_contain_text("It is tried again by itself")
    wait_until(tab.page, f"{film}.videoHeight === 360")
    wait_until(tab.page, f"{film}.currentTime > 2.5")
    expect(note).to_have_text("")
    assert broken
    tab.forget_errors()


def test_a_sample_is_made_on_the_spot_and_becomes_playable(page: Page) -> None:
    page.get_by_role("button", name="Make a sample video").click()
    page.wait_for_selector(".player video", timeout=PLAYABLE_MILLISECONDS)
    assert play_on(page) > 0.2
    expect(page.locator(".player select option")).to_have_count(2)


def test_transcoding_is_followed_by_events_and_not_by_asking_again(
    page: Page, system: System, video_file: Path
) -> None:
    # Were the transcoder done before the page has looked, there would be nothing to follow.
    with paused(system.transcoder), page.expect_response("**/events") as stream:
        page.set_input_files("#file", video_file)
    assert stream.value.headers["content-type"].startswith("text/event-stream")
    page.wait_for_selector(".player video", timeout=PLAYABLE_MILLISECONDS)


def test_deleting_asks_once_more_and_shows_no_other_owners_button(
    page: Page, system: System, video_file: Path
) -> None:
    upload(page, video_file)
    card = page.locator("article.video").first
    cards = page.locator("article.video").count()
    card.get_by_role("button", name="Delete").click()
    card.get_by_role("button", name="Keep it").click()
    expect(page.locator("article.video")).to_have_count(cards)
    card.get_by_role("button", name="Delete").click()
    card.get_by_role("button", name="Delete it for good").click()
    expect(page.locator("article.video")).to_have_count(cards - 1)
    expect(page.locator(".player")).to_have_count(0)


def test_an_upload_that_the_gateway_refuses_says_why(tab: Tab, tmp_path: Path) -> None:
    page_file = tmp_path / "page.html"
    page_file.write_text("<p>not a video</p>")
    tab.page.set_input_files("#file", page_file)
    problem = tab.page.get_by_role("alert")
    expect(problem).to_contain_text("text/html, not a video")
    expect(problem).to_contain_text("POST /api/videos: HTTP 415")
    tab.forget_errors()  # the browser reports each answer that is an error


def test_one_upload_with_the_keyboard_alone(page: Page, video_file: Path) -> None:
    """From the address to the playing video, no pointer is needed."""
    page.on("filechooser", lambda chooser: chooser.set_files(video_file))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Choose a video":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector(".player video", timeout=PLAYABLE_MILLISECONDS)
    expect(page.locator(".player h2")).to_be_focused()
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "VIDEO":
            break
    page.keyboard.press("Space")
    wait_until(page, "document.querySelector('video').currentTime > 0.2")


def test_the_queue_is_killed_and_comes_back(tab: Tab, system: System, video_file: Path) -> None:
    """The page says what was tried and what to do, and goes on by itself afterwards."""
    upload(tab.page, video_file)
    # What the player has asked for has come: a film that is cut off is another matter.
    wait_until(tab.page, "document.querySelector('video').readyState > 0")
    wait_until(tab.page, "document.querySelector('video').networkState === 1")
    system.queue.kill()
    problem = tab.page.get_by_role("alert")
    expect(problem).to_contain_text("The queue cannot be reached now")
    expect(problem).to_contain_text("GET /api/videos")
    expect(problem).to_contain_text("docker compose up -d video-queue")
    expect(tab.page.locator("#status")).to_contain_text("video-queue does not")
    expect(tab.page.locator("article.video").first).to_contain_text("By the sea")  # still there
    system.start_queue_again()
    expect(problem).to_have_count(0, timeout=PLAYABLE_MILLISECONDS)
    expect(tab.page.locator("#status")).to_contain_text("video-queue accepts us")
    assert play_on(tab.page) > 0
    tab.forget_errors()


def test_a_console_that_was_restarted_says_so(chromium: Browser, system: System) -> None:
    with opened_tab(chromium, system.console_url) as tab:
        system.console.stop()
        system.start_console_again()
        expect(tab.page.locator("#status")).to_contain_text("the console was restarted")
        tab.page.goto(system.console_url)
        expect(tab.page.locator("#status")).to_contain_text("gateway accepts us")
