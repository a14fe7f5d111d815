"""Whether a QTI package keeps to the published DTD (IMS QTI ASI 1.2.1), which knows no namespaces."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

from lxml import etree

DTD = Path(__file__).parent / "ims_qtiasiv1p2p1.dtd"
QTI = "{http://www.imsglobal.org/xsd/ims_qtiasiv1p2}"


def assessment(package: ZipFile) -> etree._Element:
    """Return the root of a package's assessment, without namespaces."""
    (name,) = [name for name in package.namelist() if re.fullmatch(r"(steelyard-\w+)/\1\.xml", name)]
    root = etree.fromstring(package.read(name))
    for element in root.iter():
        element.tag = element.tag.removeprefix(QTI)
    del root.attrib["{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"]
    plain = etree.fromstring(
        etree.tostring(root).replace(b' xmlns="http://www.imsglobal.org/xsd/ims_qtiasiv1p2"', b"")
    )
    etree.cleanup_namespaces(plain)
    return plain


def problems_of(package: ZipFile) -> list[str]:
    """Return what the DTD finds wrong with a package's assessment."""
    dtd = etree.DTD(str(DTD))
    return [] if dtd.validate(assessment(package)) else [str(dtd.error_log.filter_from_errors()[0])]
