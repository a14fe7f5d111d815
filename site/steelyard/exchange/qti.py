"""QTI 1.2 as Canvas takes it: a zip with `imsmanifest.xml`, one assessment, its settings, and the pictures.

The assessment keeps to the published DTD (IMS QTI ASI 1.2.1). Canvas recognises its two question types by
metadata and scores them itself: with checkboxes by right minus wrong ticks, which is our `net-correct`; the
file says only which choices are right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from string import ascii_uppercase
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from steelyard.exchange.item import Item
from steelyard.exchange.xml import XmlWriter

FOLDER = "steelyard"
PICTURES = f"%24IMS-CC-FILEBASE%24/{FOLDER}/"
"""How a text addresses a picture of the package."""

_ASSESSMENT = {
    "xmlns": "http://www.imsglobal.org/xsd/ims_qtiasiv1p2",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:schemaLocation": "http://www.imsglobal.org/xsd/ims_qtiasiv1p2 "
    "http://www.imsglobal.org/xsd/ims_qtiasiv1p2p1.xsd",
}
_MANIFEST = {
    "xmlns": "http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1",
    "xmlns:imsmd": "http://www.imsglobal.org/xsd/imsmd_v1p2",
}
_SETTINGS = {"xmlns": "http://canvas.instructure.com/xsd/cccv1p0"}

Note = Callable[[Item, str], None]


def write(items: Sequence[Item], title: str, note: Note) -> bytes:
    """Return questions as a QTI 1.2 package (a zip); `note` is told what it cannot hold of which."""
    for item in items:
        if not item.single and item.scoring != "net-correct":
            note(item, f"QTI cannot hold scoring {item.scoring}: Canvas scores right minus wrong ticks")
        if item.single and item.scoring == "each-answer" and len(item.options) > 2:
            note(item, "QTI cannot hold scoring each-answer for radio buttons: a wrong choice scores nothing")
        if item.tags:
            note(item, f"QTI has no tags: {', '.join(item.tags)}")
    shuffled = all(item.shuffle for item in items)
    for item in items:
        if item.shuffle and not shuffled:
            note(item, "Canvas shuffles the choices of all questions or of none: none here")
    pictures = {name: data for item in items for name, data in item.pictures.items()}
    identifier = f"steelyard-{hashlib.sha256(title.encode()).hexdigest()[:16]}"
    settings, assessment = f"{identifier}/assessment_meta.xml", f"{identifier}/{identifier}.xml"
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as package:
        for name, data in (
            ("imsmanifest.xml", _manifest(identifier, title, assessment, settings, pictures)),
            (settings, _settings(identifier, title, items, shuffled)),
            (assessment, _assessment(identifier, title, items)),
            *((f"{FOLDER}/{name}", data) for name, data in pictures.items()),
        ):
            # A fixed date: the same questions make the same file.
            package.writestr(ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, ZIP_DEFLATED)
    return packed.getvalue()


def _html(xml: XmlWriter, html: str) -> None:
    with xml.within("material"):
        xml.leaf("mattext", html, {"texttype": "text/html"})


def _metadata(xml: XmlWriter, pairs: Mapping[str, str]) -> None:
    with xml.within("qtimetadata"):
        for label, entry in pairs.items():
            with xml.within("qtimetadatafield"):
                xml.leaf("fieldlabel", label)
                xml.leaf("fieldentry", entry)


def _assessment(identifier: str, title: str, items: Sequence[Item]) -> bytes:
    xml = XmlWriter()
    with (
        xml.within("questestinterop", _ASSESSMENT),
        xml.within("assessment", {"ident": identifier, "title": title}),
    ):
        _metadata(xml, {"cc_maxattempts": "1"})
        with xml.within("section", {"ident": "root_section"}):
            for number, item in enumerate(items, 1):
                _item(xml, f"{identifier}-{number}", item)
    return xml.bytes()


def _item(xml: XmlWriter, identifier: str, item: Item) -> None:
    letters = [f"{identifier}-{letter}" for letter in ascii_uppercase[: len(item.options)]]
    kind = "multiple_choice_question" if item.single else "multiple_answers_question"
    with xml.within("item", {"ident": identifier, "title": item.title}):
        with xml.within("itemmetadata"):
            _metadata(
                xml,
                {"question_type": kind, "points_possible": "1.0", "original_answer_ids": ",".join(letters)},
            )
        with xml.within("presentation"):
            _html(xml, item.stem)
            many = "Single" if item.single else "Multiple"
            response = {"ident": "response1", "rcardinality": many}
            with xml.within("response_lid", response), xml.within("render_choice"):
                for ident, option in zip(letters, item.options, strict=True):
                    with xml.within("response_label", {"ident": ident}):
                        _html(xml, option.html)
        _processing(xml, letters, item)
        if item.explanation:
            _feedback(xml, "general_fb", item.explanation)
        for ident, option in zip(letters, item.options, strict=True):
            if option.feedback:
                _feedback(xml, f"{ident}_fb", option.feedback)


def _processing(xml: XmlWriter, letters: Sequence[str], item: Item) -> None:
    score = {"maxvalue": "100", "minvalue": "0", "varname": "SCORE", "vartype": "Decimal"}
    with xml.within("resprocessing"):
        with xml.within("outcomes"):
            xml.leaf("decvar", "", score)
        if item.explanation:
            with xml.within("respcondition", {"continue": "Yes"}):
                with xml.within("conditionvar"):
                    xml.leaf("other")
                _shows(xml, "general_fb")
        for ident, option in zip(letters, item.options, strict=True):
            if option.feedback:
                with xml.within("respcondition", {"continue": "Yes"}):
                    with xml.within("conditionvar"):
                        _equal(xml, ident)
                    _shows(xml, f"{ident}_fb")
        with xml.within("respcondition", {"continue": "No"}):
            with xml.within("conditionvar"):
                if item.single:
                    _equal(
                        xml,
                        next(i for i, option in zip(letters, item.options, strict=True) if option.correct),
                    )
                else:
                    with xml.within("and"):
                        for ident, option in zip(letters, item.options, strict=True):
                            if option.correct:
                                _equal(xml, ident)
                            else:
                                with xml.within("not"):
                                    _equal(xml, ident)
            xml.leaf("setvar", "100", {"action": "Set", "varname": "SCORE"})


def _equal(xml: XmlWriter, ident: str) -> None:
    xml.leaf("varequal", ident, {"respident": "response1"})


def _shows(xml: XmlWriter, ident: str) -> None:
    xml.leaf("displayfeedback", "", {"feedbacktype": "Response", "linkrefid": ident})


def _feedback(xml: XmlWriter, ident: str, html: str) -> None:
    with xml.within("itemfeedback", {"ident": ident}), xml.within("flow_mat"):
        _html(xml, html)


def _manifest(
    identifier: str, title: str, assessment: str, settings: str, pictures: Mapping[str, bytes]
) -> bytes:
    xml = XmlWriter()
    with xml.within("manifest", {**_MANIFEST, "identifier": f"{identifier}-manifest"}):
        with xml.within("metadata"):
            xml.leaf("schema", "IMS Content")
            xml.leaf("schemaversion", "1.1.3")
            with xml.within("imsmd:lom"), xml.within("imsmd:general"), xml.within("imsmd:title"):
                xml.leaf("imsmd:string", title)
        xml.leaf("organizations")
        with xml.within("resources"):
            with xml.within("resource", {"identifier": identifier, "type": "imsqti_xmlv1p2"}):
                xml.leaf("file", "", {"href": assessment})
                xml.leaf("dependency", "", {"identifierref": f"{identifier}-settings"})
            kind = "associatedcontent/imscc_xmlv1p1/learning-application-resource"
            settled = {"identifier": f"{identifier}-settings", "type": kind, "href": settings}
            with xml.within("resource", settled):
                xml.leaf("file", "", {"href": settings})
            for number, name in enumerate(pictures, 1):
                href = f"{FOLDER}/{name}"
                shown = {"identifier": f"{identifier}-picture-{number}", "type": "webcontent", "href": href}
                with xml.within("resource", shown):
                    xml.leaf("file", "", {"href": href})
    return xml.bytes()


def _settings(identifier: str, title: str, items: Sequence[Item], shuffled: bool) -> bytes:
    """Return Canvas's own file of settings; what is not in it is as Canvas has it by default."""
    xml = XmlWriter()
    with xml.within("quiz", {**_SETTINGS, "identifier": identifier}):
        xml.leaf("title", title)
        xml.leaf("description")
        xml.leaf("shuffle_answers", "true" if shuffled else "false")
        xml.leaf("scoring_policy", "keep_highest")
        xml.leaf("quiz_type", "practice_quiz")
        xml.leaf("points_possible", f"{len(items)}.0")
        xml.leaf("show_correct_answers", "true")
        xml.leaf("allowed_attempts", "-1")
    return xml.bytes()
