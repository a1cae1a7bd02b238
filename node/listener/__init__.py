"""The C-STORE SCP: who may associate, what is received, what is answered."""
