"""Licences: texts that others keep, and expressions by the SPDX grammar."""

import importlib.metadata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_keras.data import licences

DEBIAN = Path("/usr/share/common-licenses")
MIT = """MIT License

Copyright (c) 2020 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction. The above copyright notice and {notice} shall be
included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND.
"""


class TestIdentify:
    @pytest.mark.parametrize(
        ("name", "tag"),
        [
            ("Apache-2.0", "Apache-2.0"),
            ("BSD", "BSD-3-Clause"),
            ("CC0-1.0", "CC0-1.0"),
            ("GPL-1", "GPL-1.0"),
            ("GPL-2", "GPL-2.0"),
            ("GPL-3", "GPL-3.0"),
            ("LGPL-2", "LGPL-2.0"),
            ("LGPL-2.1", "LGPL-2.1"),
            ("LGPL-3", "LGPL-3.0"),
            ("MPL-1.1", "MPL-1.1"),
            ("MPL-2.0", "MPL-2.0"),
        ],
    )
    def test_the_texts_that_debian_keeps(self, name, tag):
        path = DEBIAN / name
        if not path.is_file():
            pytest.skip(f"no {path}: not a Debian system")
        assert licences.identify(path.read_text(errors="replace")) == tag

    def test_the_licences_of_installed_packages_are_those_that_they_declare(self):
        """Of packages with one licence file and one tag, if the tag is known here.

        A file may hold the licences of what a package brings along, too: then all of them hold.
        """
        found = {}
        for package in importlib.metadata.distributions():
            declared = package.metadata.get("License-Expression") or ""
            declared = declared.removesuffix("-only").removesuffix("-or-later")
            files = [file for file in package.files or () if "icense" in file.name.lower()]
            files = [file for file in files if "dist-info" in str(file)]
            if len(files) == 1 and declared in licences.NAMES.values():
                text = files[0].locate().read_text(errors="replace")
                found[package.name] = declared, licences.identify(text) or ""
        assert len(found) >= 10
        assert all(declared in tags.split(" AND ") for declared, tags in found.values())
        alone = [name for name, (declared, tags) in found.items() if declared == tags]
        assert len(alone) > 0.8 * len(found)

    @pytest.mark.parametrize(
        ("text", "tag"),
        [
            (MIT.format(notice="this permission notice"), "MIT"),
            (MIT.format(notice="nothing else"), "MIT-0"),
            ("/* SPDX-License-Identifier: ISC */", "ISC"),
            ("Licensed under the Apache License, Version 2.0 (the", "Apache-2.0"),
            (
                MIT.format(notice="this permission notice")
                + "\nThe Software is provided under the “Commons Clause” License Condition",
                "MIT AND LicenseRef-Commons-Clause",
            ),
            (
                MIT.format(notice="this permission notice")
                + "\nApache License\nVersion 2.0, January 2004\n",
                "MIT AND Apache-2.0",
            ),
            ("All rights reserved.", None),
            ("", None),
        ],
    )
    def test_others(self, text, tag):
        assert licences.identify(text) == tag


class TestAllowed:
    @pytest.mark.parametrize(
        ("expression", "allowed"),
        [
            ("MIT", True),
            ("mit", True),
            (" Mit ", True),
            ("GPL-2.0", False),
            ("MIT OR GPL-2.0", True),
            ("GPL-2.0 or mit", True),
            ("MIT AND GPL-2.0", False),
            ("MIT AND ISC", True),
            ("MIT AND GPL-2.0 OR ISC", True),
            ("MIT AND (GPL-2.0 OR ISC)", True),
            ("(MIT OR ISC) AND GPL-2.0", False),
            ("GPL-2.0 OR GPL-3.0", False),
            ("MIT WITH some-exception", True),
            ("GPL-2.0 WITH Classpath-exception-2.0", True),
            ("GPL-2.0 WITH Linux-syscall-note", False),
            ("falcon llm", True),
            *((bad, False) for bad in ("", " ", "MIT OR", "OR MIT", "(MIT", "MIT)", "MIT ISC")),
            *((bad, False) for bad in ("()", "MIT WITH", "MIT WITH (ISC)", "MIT AND OR ISC")),
            ("(" * 21 + "MIT" + ")" * 21, False),
            ("(" * 20 + "MIT" + ")" * 20, True),
            ("MIT OR " * 100 + "MIT", False),
        ],
    )  # fmt: skip
    def test_expressions(self, expression, allowed):
        wanted = ("MIT", "ISC", "GPL-2.0 WITH Classpath-exception-2.0", "Falcon LLM")
        assert licences.allowed(expression, wanted) is allowed

    @settings(max_examples=150)
    @given(
        st.recursive(
            st.sampled_from(["A", "B", "C"]),
            lambda e: st.tuples(e, st.sampled_from(["and", "or"]), e),
            max_leaves=6,
        ),
        st.sets(st.sampled_from("ABC")),
    )
    def test_it_is_the_logic_of_its_words(self, tree, wanted):
        def text(node):
            return node if isinstance(node, str) else f"({text(node[0])} {node[1]} {text(node[2])})"

        def holds(node):
            if isinstance(node, str):
                return node in wanted
            sides = holds(node[0]), holds(node[2])
            return all(sides) if node[1] == "and" else any(sides)

        assert licences.allowed(text(tree), wanted) is holds(tree)

    @settings(max_examples=100)
    @given(st.text("() aAnNdDoOrRwithMIT", max_size=60))
    def test_anything_is_answered(self, expression):
        assert licences.allowed(expression, ["MIT"]) in (True, False)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("# SPDX-License-Identifier: mit\n", "MIT"),
        ("// SPDX-License-Identifier:\tApache-2.0 OR MIT\r\n", "Apache-2.0 OR MIT"),
        ("<!-- SPDX-License-Identifier: ISC -->", "ISC"),
        ("(* SPDX-License-Identifier: ISC *)", "ISC"),
        ("/* SPDX-License-Identifier: */", None),
        ("License: MIT", None),
    ],
)
def test_headers(text, tag):
    assert licences.from_header(text) == tag
