"""The page: one file of ours that asks for nothing from elsewhere, and the policy that holds browsers to that."""

import base64
import re
from hashlib import sha256

from ..report.pages import templates

TEMPLATE = "serving.html"


class Page:
    """The page for some models, and the Content-Security-Policy that allows its own script and style alone."""

    def __init__(self, models: list[str]):
        self.html = templates(autoescape=True).get_template(TEMPLATE).render(models=models)
        self.policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src {self._digests('script')}",
                f"style-src {self._digests('style')}",
                "img-src 'self' blob: data:",
                "media-src 'self' blob:",
                "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        )

    def _digests(self, tag: str) -> str:
        """Return what a policy allows of the page's own elements of one kind: what their text digests to."""
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", self.html, re.DOTALL)
        return " ".join(f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'" for text in texts)
