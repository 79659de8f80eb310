"""Heads that no framework has. Each module extends one framework and is imported by the configs that use it:

``custom_imports = dict(imports=['mmuniformer', 'mmuniformer.models.heads.token_label_head'])``
"""
