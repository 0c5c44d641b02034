"""The family of models, and what turns weights into answers on any tier. Nothing is here yet but this name: the
import rule and the installed package already have its place, between node and the tiers."""
