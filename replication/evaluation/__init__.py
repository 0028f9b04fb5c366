"""What is asked of a trained net: errors from one or ten views, averages of several nets,
comparisons (sections 4.1, 4.2, 6).
"""
