"""Where everything of one run lies. Scripts rely on these names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; every path of it is named here and nowhere else."""

    root: Path

    @property
    def run_file(self) -> Path:
        """The settings the run was made with, complete and with overrides applied."""
        return self.root / "run.yaml"

    @property
    def stages(self) -> Path:
        """One JSON file for each finished stage: what it read, its settings, what it wrote."""
        return self.root / "stages"

    @property
    def corpus(self) -> Path:
        """Everything made from the sources."""
        return self.root / "corpus"

    @property
    def documents(self) -> Path:
        """Curated documents, `{train,validation}-00000-of-00004.jsonl.gz`."""
        return self.corpus / "documents"

    @property
    def rejected(self) -> Path:
        """Dropped documents, each with its reason."""
        return self.corpus / "rejected"

    @property
    def dead_letters(self) -> Path:
        """What could not be read, each with file, place and error."""
        return self.corpus / "dead_letters"

    @property
    def curation(self) -> Path:
        """Counts of the curation: in, kept, dropped by reason, dead, for each source."""
        return self.corpus / "curation.json"

    @property
    def manifest(self) -> Path:
        """The tokenized shards, with their hashes."""
        return self.corpus / "manifest.json"

    @property
    def corpus_report(self) -> Path:
        """The curation as a page to look at."""
        return self.corpus / "report.html"

    @property
    def tokenizer_model(self) -> Path:
        """The tokenizer that Beam, training and serving share.

        A SentencePiece model that was trained here, or a Hugging Face tokenizer.json that was
        imported.
        """
        imported = self.root / "tokenizer" / "tokenizer.json"
        return imported if imported.exists() else self.root / "tokenizer" / "tokenizer.model"

    @property
    def tokenizer_about(self) -> Path:
        """How a tokenizer was trained here, and how long its tokens are."""
        return self.root / "tokenizer" / "about.json"

    @property
    def checkpoints(self) -> Path:
        """One folder for each kept step, complete or absent."""
        return self.root / "checkpoints"

    @property
    def training_lock(self) -> Path:
        """Held by the one process that trains here."""
        return self.root / ".training.lock"

    @property
    def metrics(self) -> Path:
        """One JSON object for each training step."""
        return self.root / "metrics.jsonl"

    @property
    def validation_metrics(self) -> Path:
        """One JSON object for each validation."""
        return self.root / "validation.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Curves for TensorBoard."""
        return self.root / "tensorboard"

    @property
    def profile(self) -> Path:
        """Traces for TensorBoard's profiler."""
        return self.root / "profile"

    @property
    def evaluation(self) -> Path:
        """Held-out quality beside the baselines, and samples."""
        return self.root / "evaluation.json"

    @property
    def export(self) -> Path:
        """SavedModels, one folder for each version."""
        return self.root / "export"

    @property
    def export_safetensors(self) -> Path:
        """The model in Hugging Face's layout, a folder."""
        return self.root / "export-safetensors"

    @property
    def export_gguf(self) -> Path:
        """The model as one GGUF file."""
        return self.root / "export-gguf" / "model.gguf"

    @property
    def report(self) -> Path:
        """The run as a page to look at."""
        return self.root / "report.html"
