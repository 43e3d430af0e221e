"""Waiting in a browser for what a page will show."""

from __future__ import annotations


def wait_for(page, expression: str, argument=None, timeout: float | None = None) -> None:
    """Wait until a function of JavaScript gives something true.

    What it looks at may not be on the page yet, and a script that fails would end the wait, and count as a fault of the
    page's own. It counts as not yet; what was wrong last stands in the message where the time is up.

    Args:
        page: of playwright.
        expression: the function, of one argument or of none.
        argument: anything that JSON holds.
        timeout: milliseconds; the page's own without.

    Raises:
        AssertionError: time is up and it failed at last.
    """
    from playwright.sync_api import TimeoutError as TimeIsUp

    patient = f"""(argument) => {{
        try {{
            const said = ({expression})(argument);
            window.waitFault = null;
            return said;
        }} catch (e) {{
            window.waitFault = String(e);
            return false;
        }}
    }}"""
    try:
        page.wait_for_function(patient, arg=argument, timeout=timeout)
    except TimeIsUp:
        fault = page.evaluate("window.waitFault")
        if fault:
            raise AssertionError(f"{fault} in {expression}") from None
        raise
