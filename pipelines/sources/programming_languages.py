"""Which language a file is in, by its name, and what its name says about who wrote it.

Names are those of GitHub's linguist, which The Stack has too.
"""

from __future__ import annotations

import re

_BY_SUFFIX = {
    "Ada": "adb ads ada",
    "Assembly": "asm s nasm",
    "Awk": "awk",
    "Batchfile": "bat cmd",
    "C": "c h",
    "C#": "cs csx",
    "C++": "cc cpp cxx c++ hh hpp hxx h++ ino ipp tpp",
    "CMake": "cmake",
    "CSS": "css",
    "CUDA": "cu cuh",
    "Clojure": "clj cljs cljc edn",
    "CoffeeScript": "coffee",
    "Common Lisp": "lisp lsp cl",
    "Crystal": "cr",
    "D": "d di",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Emacs Lisp": "el",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Fortran": "f f77 f90 f95 f03 f08 for",
    "GLSL": "glsl vert frag geom",
    "Go": "go",
    "GraphQL": "graphql gql",
    "Groovy": "groovy gradle",
    "HTML": "html htm xhtml",
    "Haskell": "hs lhs",
    "Haxe": "hx",
    "JSON": "json",
    "JSX": "jsx",
    "Java": "java",
    "JavaScript": "js mjs cjs",
    "Julia": "jl",
    "Jupyter Notebook": "ipynb",
    "Kotlin": "kt kts",
    "Less": "less",
    "Lua": "lua",
    "MATLAB": "m",
    "Makefile": "mk mak",
    "Markdown": "md markdown",
    "Nim": "nim nims",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "mm",
    "PHP": "php phtml",
    "Pascal": "pas dpr",
    "Perl": "pl pm t",
    "PowerShell": "ps1 psm1 psd1",
    "Prolog": "pro prolog",
    "Protocol Buffer": "proto",
    "Python": "py pyi pyx pxd pyw",
    "R": "r rmd",
    "Racket": "rkt",
    "Ruby": "rb rake gemspec",
    "Rust": "rs",
    "SCSS": "scss sass",
    "SQL": "sql",
    "Scala": "scala sc sbt",
    "Scheme": "scm ss sld",
    "Shell": "sh bash zsh ksh fish",
    "Solidity": "sol",
    "Svelte": "svelte",
    "Swift": "swift",
    "SystemVerilog": "sv svh",
    "TOML": "toml",
    "TSX": "tsx",
    "Tcl": "tcl",
    "TeX": "tex sty cls",
    "Terraform": "tf tfvars hcl",
    "Text": "txt",
    "TypeScript": "ts mts cts",
    "VHDL": "vhd vhdl",
    "Verilog": "v vh",
    "Visual Basic": "vb bas vbs",
    "Vue": "vue",
    "WebAssembly": "wat",
    "XML": "xml xsd xsl xslt",
    "YAML": "yaml yml",
    "Zig": "zig",
    "reStructuredText": "rst",
}
SUFFIXES = {f".{suffix}": name for name, all_ in _BY_SUFFIX.items() for suffix in all_.split()}

_BY_NAME = {
    **{"makefile": "Makefile", "gnumakefile": "Makefile", "dockerfile": "Dockerfile"},
    **{"containerfile": "Dockerfile", "cmakelists.txt": "CMake", "rakefile": "Ruby"},
    **{"gemfile": "Ruby", "vagrantfile": "Ruby", "jenkinsfile": "Groovy", "build": "Starlark"},
    **{"build.bazel": "Starlark", "workspace": "Starlark", "meson.build": "Meson"},
    **{"sconstruct": "Python", "sconscript": "Python", "justfile": "Just", "readme": "Text"},
}
#: Written for people: what language these are in is identified as of any other text.
PROSE = frozenset(("Markdown", "reStructuredText", "Text"))

_SHEBANG = re.compile(
    rb"#![^\n]{0,80}?\b(python|bash|zsh|sh|perl|ruby|node|php|lua|awk|tclsh|Rscript)"
)
_INTERPRETERS = {
    **{"python": "Python", "bash": "Shell", "zsh": "Shell", "sh": "Shell", "perl": "Perl"},
    **{"ruby": "Ruby", "node": "JavaScript", "php": "PHP", "lua": "Lua", "awk": "Awk"},
    **{"tclsh": "Tcl", "Rscript": "R"},
}

#: Written by package managers, however they end.
_LOCK_FILES = frozenset(
    (
        *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock"),
        *("cargo.lock", "poetry.lock", "pipfile.lock", "uv.lock", "pdm.lock", "composer.lock"),
        *("gemfile.lock", "go.sum", "mix.lock", "pubspec.lock", "podfile.lock", "flake.lock"),
        *("packages.lock.json", "gradle.lockfile", "conan.lock", "deno.lock", "package.resolved"),
    )
)
_VENDORED = re.compile(
    r"(?:^|/)(?:vendors?|vendored|_vendor|node_modules|bower_components|jspm_packages|third[_-]?party"
    r"|3rd[_-]?party|externals?|extern|godeps|pods|carthage|site-packages|dist-packages|deps"
    r"|elm-stuff|\.?venv)/",
    re.IGNORECASE,
)
_GENERATED_NAME = re.compile(
    r"(?:\.pb\.(?:go|cc|h|rb|swift|dart)|_pb2(?:_grpc)?\.pyi?|\.g\.dart|\.freezed\.dart"
    r"|\.designer\.(?:cs|vb)|\.generated\.\w+|_generated\.\w+|\.map|-min\.(?:js|css)"
    r"|\.bundle\.js|zz_generated[^/]*\.go)$",
    re.IGNORECASE,
)
_BUILT = re.compile(r"(?:^|/)(?:dist|build|out|target|__pycache__)/", re.IGNORECASE)
_MINIFIED_NAME = re.compile(r"\.min\.(?:js|mjs|css)$", re.IGNORECASE)


def language_of(name: str, start: bytes = b"") -> str | None:
    """The programming language of a file.

    Args:
        name: Its path.
        start: How its content begins, which tells where a name without a suffix does not.

    >>> language_of("src/Main.java"), language_of("run", b"#!/usr/bin/env python3")
    ('Java', 'Python')
    """
    base = name.rpartition("/")[2].lower()
    if base in _BY_NAME:
        return _BY_NAME[base]
    stem, dot, suffix = base.rpartition(".")
    if dot and stem:
        return SUFFIXES.get(f".{suffix}")
    found = _SHEBANG.match(start)
    return _INTERPRETERS[found[1].decode()] if found else None


def is_lock_file(name: str) -> bool:
    """Whether a package manager wrote it."""
    return name.rpartition("/")[2].lower() in _LOCK_FILES


def is_vendored(name: str) -> bool:
    """Whether it lies in a folder for the code of others.

    >>> is_vendored("web/node_modules/x/index.js"), is_vendored("src/vendor.py")
    (True, False)
    """
    return _VENDORED.search(name) is not None


def is_generated(name: str) -> bool:
    """Whether its name is one that generators give, or it lies where builds put what they make."""
    return bool(_GENERATED_NAME.search(name) or _BUILT.search(name))


def is_minified(name: str) -> bool:
    """Whether its name says that a tool made it small."""
    return _MINIFIED_NAME.search(name) is not None
